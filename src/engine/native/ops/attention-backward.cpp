// The gradient of attention. Scores are made again, a block of query rows against a block of keys at a time:
//
//     p = exp(scale * q·k - lse)     ds = p (do·v - do·o)     dv = pᵀ do     dk = scale dsᵀ q     dq = scale ds k
//
// One task makes all of one key head, in one pass. Where there are fewer key heads than threads could share, tasks are blocks instead:
// some make dk and dv of a block of keys, others dq of a block of query rows, and scores are made twice. Either way each sum belongs to
// one task and adds the same blocks in the same order, so the bits are the same.

#include "scores.h"

namespace tunebook::TB_ISA {
namespace {

/** Scratch of one thread; its sum is attentionBackwardBytes in workspace.cpp. */
struct Scratch {
  /** turned: [step of headDim][row], across: [step of rows][headDim]. */
  uint32_t *turnedQ, *turnedDo, *acrossQ, *acrossDo;
  /** [key][step of headDim], and [step of keys][headDim]. */
  uint32_t *keys, *values, *acrossKeys;
  /** [key][step of rows], and of one panel [step of keys][row]. */
  uint32_t *shares, *gradients, *acrossGradients;
  /** Of one panel, [key][row]: q·k and do·v. */
  float *scores, *products;
  /** dq [headDim][row]; dk and dv [key][headDim]. */
  float *dq, *dk, *dv;
  /** Of each row: lse as a power of two, do·o. */
  float *lse, *means;

  Scratch(char* place, int64_t width, int64_t keyRows) {
    auto* next = reinterpret_cast<uint32_t*>(place);
    const auto take = [&](int64_t count) {
      uint32_t* taken = next;
      next += count;
      return taken;
    };
    for (uint32_t** block : {&turnedQ, &turnedDo, &acrossQ, &acrossDo}) *block = take(kQueries * width);
    for (uint32_t** block : {&keys, &values, &acrossKeys}) *block = take(kKeyRows * width);
    for (uint32_t** block : {&shares, &gradients}) *block = take(kKeyRows * kQueries);
    acrossGradients = take(kKeyRows * kTileCols);
    scores = reinterpret_cast<float*>(take(kKeyRows * kTileCols));
    products = reinterpret_cast<float*>(take(kKeyRows * kTileCols));
    dq = reinterpret_cast<float*>(take(kQueries * width));
    dk = reinterpret_cast<float*>(take(keyRows * width));
    dv = reinterpret_cast<float*>(take(keyRows * width));
    lse = reinterpret_cast<float*>(take(kQueries));
    means = reinterpret_cast<float*>(take(kQueries));
  }
};

void clear(float* data, int64_t count) { std::memset(data, 0, static_cast<size_t>(count) * 4); }

/** Gradients of scores lie as they were made where a step is one number; where it is two, the keys are paired up once more. */
const uint32_t* standing(Singles, const Scratch& scratch, int64_t panel, int64_t& stride) {
  stride = kQueries;
  return scratch.gradients + panel * kTileC;
}
void pairGradients(Singles, const Scratch&, int64_t, const Floats (&)[1][2]) {}

#if defined(__AVX512BF16__)
const uint32_t* standing(Pairs, const Scratch& scratch, int64_t, int64_t& stride) {
  stride = kTileC;
  return scratch.acrossGradients;
}
void pairGradients(Pairs, const Scratch& scratch, int64_t step, const Floats (&gradients)[2][2]) {
  for (int v = 0; v < 2; v++) {
    const Words32 words = pairUp(gradients[0][v], gradients[1][v]);
    std::memcpy(scratch.acrossGradients + step * kTileC + v * kLanes, &words, sizeof words);
  }
}
#endif

template <class T>
struct Backward {
  using Layout = LayoutOf<T>;
  /** Words of a panel's rows where they are steps. */
  static constexpr int64_t kPanelSteps = kTileC / Layout::kPerStep;
  const Op& op;
  const Shape& shape;
  const Scratch scratch;
  const int64_t batch, kvHead;

  Backward(const Op& op, const Shape& shape, int64_t one, char* place, int64_t keyRows)
      : op(op), shape(shape), scratch(place, shape.width(), keyRows), batch(one / shape.kvHeads), kvHead(one % shape.kvHeads) {}

  int64_t keyRow(int64_t key) const { return batch * shape.seqK + key; }

  void takeRows(const QueryRows& rows) const {
    const auto q = rows.rowsOf<const T>(op.in(1)), out = rows.rowsOf<const T>(op.in(0)), o = rows.rowsOf<const T>(op.in(4));
    const float* lse = op.in(5).as<float>();
    turnAround<Layout>(rows.count, shape.headDim, q, scratch.turnedQ, kQueries);
    turnAround<Layout>(rows.count, shape.headDim, out, scratch.turnedDo, kQueries);
    layAcross<Layout>(rows.count, shape.headDim, q, scratch.acrossQ, shape.width());
    layAcross<Layout>(rows.count, shape.headDim, out, scratch.acrossDo, shape.width());
    // Rows that are not there fill the last panel: they add nothing.
    const int64_t steps = stepsOf<Layout>(rows.count), missing = rows.panels() * kPanelSteps - steps;
    clear(reinterpret_cast<float*>(scratch.acrossQ + steps * shape.width()), missing * shape.width());
    clear(reinterpret_cast<float*>(scratch.acrossDo + steps * shape.width()), missing * shape.width());
    clear(scratch.lse, kQueries);
    clear(scratch.means, kQueries);
    for (int64_t i = 0; i < rows.count; i++) {
      Floats products = {};
      for (int64_t j = 0; j < shape.headDim; j += kLanes) {
        products += load(out(i) + j, shape.headDim - j) * load(o(i) + j, shape.headDim - j);
      }
      scratch.means[i] = sum(products);
      scratch.lse[i] = lse[rows.at[i]] * kLog2E;
    }
  }

  void takeKeys(int64_t key, int64_t keys, bool across) const {
    const auto k = keysOf<const T>(shape, op.in(2), keyRow(key), kvHead);
    layDown<Layout>(keys, shape.headDim, k, scratch.keys, shape.width());
    layDown<Layout>(keys, shape.headDim, keysOf<const T>(shape, op.in(3), keyRow(key), kvHead), scratch.values, shape.width());
    if (across) layAcross<Layout>(keys, shape.headDim, k, scratch.acrossKeys, shape.width());
  }

  /** p and ds of a panel's rows; keys that they do not see get 0. */
  void makeGradients(const QueryRows& rows, int64_t panel, const Part& part, int64_t key, int64_t keys) const {
    constexpr int kStep = Layout::kPerStep;
    const int64_t lane = panel * kTileC, width = shape.width(), count = part.last - part.first, steps = stepsOf<Layout>(shape.headDim);
    blockProduct<Layout, 2, true>(count, steps, {scratch.keys + part.first * width, width}, scratch.turnedQ + lane, kQueries,
                                  scratch.scores + part.first * kTileC, kTileC, false);
    blockProduct<Layout, 2, true>(count, steps, {scratch.values + part.first * width, width}, scratch.turnedDo + lane, kQueries,
                                  scratch.products + part.first * kTileC, kTileC, false);
    const float factor = shape.scale * kLog2E;
    Floats lse[2], means[2];
    for (int v = 0; v < 2; v++) {
      lse[v] = load(scratch.lse + lane + v * kLanes);
      means[v] = load(scratch.means + lane + v * kLanes);
    }
    const auto lying = [&](uint32_t* block, int64_t j) { return block + j * kQueries / kStep + panel * kPanelSteps; };
    const auto unseen = [&](int64_t j) {
      storeLying(Layout{}, lying(scratch.shares, j), Floats{}, Floats{});
      storeLying(Layout{}, lying(scratch.gradients, j), Floats{}, Floats{});
    };
    for (int64_t j = 0; j < part.first; j++) unseen(j);
    eachStep(part, kStep, [&](int64_t j, auto bounded) {
      Floats gradients[kStep][2];
      for (int i = 0; i < kStep; i++) {
        Floats shares[2];
        for (int v = 0; v < 2; v++) {
          const int64_t at = (j + i) * kTileC + v * kLanes;
          Floats p = powerOfTwo(load(scratch.scores + at) * factor - lse[v]);
          Floats ds = p * (load(scratch.products + at) - means[v]);
          if (bounded) {
            const Ints seen = lanesSeeing(rows.from + lane + v * kLanes, rows.to + lane + v * kLanes, key + j + i);
            p = seen ? p : Floats{};
            ds = seen ? ds : Floats{};
          }
          shares[v] = p;
          gradients[i][v] = ds;
        }
        storeLying(Layout{}, lying(scratch.shares, j + i), shares[0], shares[1]);
        storeLying(Layout{}, lying(scratch.gradients, j + i), gradients[i][0], gradients[i][1]);
      }
      pairGradients(Layout{}, scratch, j / kStep, gradients);
    });
    for (int64_t j = roundUp(part.last, kStep); j < keys; j++) unseen(j);
  }

  /** One block of query rows against one of keys, laid out both. dq, dk, dv: sums to add to, or nullptr. */
  void meet(const QueryRows& rows, int64_t key, int64_t keys, float* dq, float* dk, float* dv) const {
    const int64_t width = shape.width(), keySteps = stepsOf<Layout>(keys);
    Seen panels{INT32_MAX, 0};
    for (int64_t panel = 0; panel < rows.panels(); panel++) {
      const Part part(rows.one[panel], rows.every[panel], key, keys, Layout::kPerStep);
      if (!part.any()) {
        if (panels.to > 0 && dk) clearPanel(panel, keySteps * Layout::kPerStep);
        continue;
      }
      if (panels.to == 0) panels.from = static_cast<int32_t>(panel);
      panels.to = static_cast<int32_t>(panel + 1);
      makeGradients(rows, panel, part, key, keys);
      if (!dq) continue;
      int64_t stride = 0;
      const uint32_t* gradients = standing(Layout{}, scratch, panel, stride);
      const int64_t first = part.first / Layout::kPerStep;
      blockProduct<Layout, 2, false>(shape.headDim, stepsOf<Layout>(part.last - part.first), {scratch.acrossKeys + first * width, width},
                                     gradients + first * stride, stride, dq + panel * kTileC, kQueries, true);
    }
    if (!dk || panels.to == 0) return;
    constexpr int64_t kStride = kQueries / Layout::kPerStep;
    const int64_t first = panels.from * kPanelSteps, steps = (panels.to - panels.from) * kPanelSteps;
    for (int64_t j = 0; j < shape.headDim; j += kTileC) {
      blockProduct<Layout, 2, true>(keys, steps, {scratch.shares + first, kStride}, scratch.acrossDo + first * width + j, width, dv + j,
                                    width, true);
      blockProduct<Layout, 2, true>(keys, steps, {scratch.gradients + first, kStride}, scratch.acrossQ + first * width + j, width, dk + j,
                                    width, true);
    }
  }

  void clearPanel(int64_t panel, int64_t keys) const {
    for (int64_t j = 0; j < keys; j++) {
      for (uint32_t* block : {scratch.shares, scratch.gradients}) {
        storeLying(Layout{}, block + j * kQueries / Layout::kPerStep + panel * kPanelSteps, Floats{}, Floats{});
      }
    }
  }

  void writeKeys(const Operand& operand, const float* sums, int64_t key, int64_t keys, float times) const {
    const auto out = keysOf<T>(shape, operand, keyRow(key), kvHead);
    for (int64_t i = 0; i < keys; i++) {
      for (int64_t j = 0; j < shape.headDim; j += kLanes) {
        store(out(i) + j, load(sums + i * shape.width() + j) * times, shape.headDim - j);
      }
    }
  }

  /** dq of a block of query rows; and what it adds to dk and dv of all keys, unless they are nullptr. */
  void rowBlock(int64_t block, float* dk, float* dv) const {
    const QueryRows rows(shape, batch, kvHead, block);
    clear(scratch.dq, kQueries * shape.width());
    if (rows.seen.any()) takeRows(rows);
    for (int64_t key = rows.seen.from / kKeys * kKeys; key < rows.seen.to; key += kKeys) {
      const int64_t keys = least(kKeys, shape.seqK - key), at = key * shape.width();
      takeKeys(key, keys, true);
      meet(rows, key, keys, scratch.dq, dk ? dk + at : nullptr, dv ? dv + at : nullptr);
    }
    float times[kQueries];
    for (float& each : times) each = shape.scale;
    turnBack(scratch.dq, kQueries, rows.count, shape.headDim, times, rows.rowsOf<T>(op.out(0)));
  }

  void wholeHead() const {
    clear(scratch.dk, shape.seqK * shape.width());
    clear(scratch.dv, shape.seqK * shape.width());
    for (int64_t block = 0; block < shape.rowBlocks(); block++) rowBlock(block, scratch.dk, scratch.dv);
    writeKeys(op.out(1), scratch.dk, 0, shape.seqK, shape.scale);
    writeKeys(op.out(2), scratch.dv, 0, shape.seqK, 1);
  }

  void keyBlock(int64_t block) const {
    const int64_t key = block * kKeys, keys = least(kKeys, shape.seqK - key);
    clear(scratch.dk, keys * shape.width());
    clear(scratch.dv, keys * shape.width());
    bool taken = false;
    for (int64_t each = 0; each < shape.rowBlocks(); each++) {
      const QueryRows rows(shape, batch, kvHead, each);
      if (rows.seen.from >= key + keys || rows.seen.to <= key) continue;
      if (!taken) takeKeys(key, keys, false);
      taken = true;
      takeRows(rows);
      meet(rows, key, keys, nullptr, scratch.dk, scratch.dv);
    }
    writeKeys(op.out(1), scratch.dk, key, keys, shape.scale);
    writeKeys(op.out(2), scratch.dv, key, keys, 1);
  }
};

}  // namespace

bool attentionBackward(const Op& op, Run& run) {
  const Shape shape = shapeOf(op, 1, 2, 6);
  if (!checkRanges(op, run, 6, shape)) return false;
  const int64_t keyHeads = shape.batch * shape.kvHeads, keyRows = attentionKeyRows(keyHeads, shape.seqK, run.pool.threads());
  const int64_t bytes = attentionBackwardBytes(shape.headDim, keyRows);
  withAct(op.in(0).type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    const auto on = [&](int64_t one, int thread) { return Backward<T>(op, shape, one, op.workspace + thread * bytes, keyRows); };
    if (keyHeads >= kHeadsPerThread * run.pool.threads()) {
      run.each(keyHeads, [&](int64_t one, int thread) { on(one, thread).wholeHead(); });
      return;
    }
    const int64_t keyTasks = keyHeads * shape.keyBlocks();
    run.each(keyTasks + keyHeads * shape.rowBlocks(), [&](int64_t task, int thread) {
      if (task < keyTasks) on(task / shape.keyBlocks(), thread).keyBlock(task % shape.keyBlocks());
      else on((task - keyTasks) / shape.rowBlocks(), thread).rowBlock((task - keyTasks) % shape.rowBlocks(), nullptr, nullptr);
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
