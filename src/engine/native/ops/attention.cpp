// Softmax attention with a running maximum and sum per query (Dao et al. 2022), so that the score matrix is never whole.
// One task is a block of query rows of one key head; it walks over the blocks of keys that any of its rows sees.

#include <cmath>

#include "scores.h"

namespace tunebook::TB_ISA {
namespace {

/** Scratch of one thread; its sum is attentionBytes in workspace.cpp. Sums lie [panel][headDim][kTileC]. */
struct Scratch {
  uint32_t *queries, *keys, *values, *shares;
  float *scores, *sums, *tops, *totals;

  Scratch(char* place, int64_t width) {
    queries = reinterpret_cast<uint32_t*>(place);
    keys = queries + kQueries * width;
    values = keys + kKeyRows * width;
    shares = values + kKeyRows * width;
    scores = reinterpret_cast<float*>(shares + kKeyRows * kTileCols);
    sums = scores + kKeyRows * kTileCols;
    tops = sums + kQueries * width;
    totals = tops + kQueries;
  }
};

/** One step of shares: one key, or two of which the second is 0 where the part ends between them. */
template <int V>
void storeStep(Singles, uint32_t* out, const Floats (&shares)[1][V]) {
  for (int v = 0; v < V; v++) store(reinterpret_cast<float*>(out) + v * kLanes, shares[0][v]);
}

#if defined(__AVX512BF16__)
template <int V>
void storeStep(Pairs, uint32_t* out, const Floats (&shares)[2][V]) {
  for (int v = 0; v < V; v++) {
    const Words32 words = pairUp(shares[0][v], shares[1][v]);
    std::memcpy(out + v * kLanes, &words, sizeof words);
  }
}
#endif

/**
 * Turn a panel's scores against a part of a block of keys into 2^(factor * score - top), laid out for the product with the values, and
 * bring what was summed before to the new top. `key` is the first of the block.
 */
template <class Layout, int V>
void shareOut(const QueryRows& rows, int64_t panel, const Part& part, int64_t key, float factor, const Scratch& scratch) {
  constexpr int kStep = Layout::kPerStep;
  const int64_t lane = panel * kTileC;
  const int32_t *from = rows.from + lane, *to = rows.to + lane;
  const Floats none = splat(-__builtin_inff());
  Floats tops[V], totals[V], before[V];
  for (int v = 0; v < V; v++) {
    before[v] = tops[v] = load(scratch.tops + lane + v * kLanes);
    totals[v] = Floats{};
  }
  const auto score = [&](int64_t j, int v) { return load(scratch.scores + j * kTileC + v * kLanes); };
  eachStep(part, kStep, [&](int64_t j, auto bounded) {
    for (int64_t i = j; i < j + kStep && i < part.last; i++) {
      for (int v = 0; v < V; v++) {
        Floats x = score(i, v) * factor;
        if (bounded) x = lanesSeeing(from + v * kLanes, to + v * kLanes, key + i) ? x : none;
        tops[v] = larger(x, tops[v]);
      }
    }
  });
  Ints changed = {};
  Floats bases[V];
  for (int v = 0; v < V; v++) {
    store(scratch.tops + lane + v * kLanes, tops[v]);
    changed |= tops[v] != before[v];
    bases[v] = tops[v] == none ? Floats{} : tops[v];
  }
  eachStep(part, kStep, [&](int64_t j, auto bounded) {
    Floats shares[kStep][V];
    for (int i = 0; i < kStep; i++) {
      for (int v = 0; v < V; v++) {
        Floats share = powerOfTwo(score(j + i, v) * factor - bases[v]);
        // A key beyond the part is one that nobody sees.
        if (bounded) share = lanesSeeing(from + v * kLanes, to + v * kLanes, key + j + i) ? share : Floats{};
        shares[i][v] = share;
        totals[v] += share;
      }
    }
    storeStep(Layout{}, scratch.shares + j / kStep * kTileC, shares);
  });
  bool any = false;
  for (int i = 0; i < kLanes; i++) any |= changed[i] != 0;
  Floats shrink[V];
  for (int v = 0; v < V; v++) {
    shrink[v] = powerOfTwo(before[v] - bases[v]);
    float* total = scratch.totals + lane + v * kLanes;
    store(total, load(total) * shrink[v] + totals[v]);
  }
  if (!any) return;
  float* sums = scratch.sums + lane * rows.shape.width();
  for (int64_t d = 0; d < rows.shape.headDim; d++) {
    for (int v = 0; v < V; v++) {
      float* place = sums + d * kTileC + v * kLanes;
      store(place, load(place) * shrink[v]);
    }
  }
}

/** A panel of queries, its first V vectors, against a block of keys that is laid out. */
template <class Layout, int V>
void meet(const QueryRows& rows, int64_t panel, const Part& part, int64_t key, float factor, const Scratch& scratch) {
  const Shape& shape = rows.shape;
  const int64_t width = shape.width(), first = part.first / Layout::kPerStep;
  blockProduct<Layout, V, true>(part.last - part.first, stepsOf<Layout>(shape.headDim), {scratch.keys + part.first * width, width},
                                scratch.queries + panel * kTileC, kQueries, scratch.scores + part.first * kTileC, kTileC, false);
  shareOut<Layout, V>(rows, panel, part, key, factor, scratch);
  blockProduct<Layout, V, false>(shape.headDim, stepsOf<Layout>(part.last - part.first), {scratch.values + first * width, width},
                                 scratch.shares + first * kTileC, kTileC, scratch.sums + panel * kTileC * width, kTileC, true);
}

template <class T>
void attend(const Op& op, const Shape& shape, int64_t batch, int64_t kvHead, int64_t block, char* place) {
  using Layout = LayoutOf<T>;
  const Operand &k = op.in(1), &v = op.in(2), &o = op.out(0), &lse = op.out(1);
  const QueryRows rows(shape, batch, kvHead, block);
  const int64_t width = shape.width();
  const float factor = shape.scale * kLog2E;
  const Scratch scratch(place, width);
  std::memset(scratch.sums, 0, static_cast<size_t>(rows.panels() * kTileC * width) * 4);
  for (int64_t i = 0; i < kQueries; i++) {
    scratch.tops[i] = -__builtin_inff();
    scratch.totals[i] = 0;
  }
  if (rows.seen.any()) turnAround<Layout>(rows.count, shape.headDim, rows.rowsOf<const T>(op.in(0)), scratch.queries, kQueries);
  for (int64_t key = rows.seen.from; key < rows.seen.to; key += kKeys) {
    const int64_t keys = least(kKeys, rows.seen.to - key), keyRow = batch * shape.seqK + key;
    layDown<Layout>(keys, shape.headDim, keysOf<const T>(shape, k, keyRow, kvHead), scratch.keys, width);
    layAcross<Layout>(keys, shape.headDim, keysOf<const T>(shape, v, keyRow, kvHead), scratch.values, width);
    for (int64_t panel = 0; panel < rows.panels(); panel++) {
      const Part part(rows.one[panel], rows.every[panel], key, keys, Layout::kPerStep);
      if (!part.any()) continue;
      if (rows.count - panel * kTileC > kLanes) meet<Layout, 2>(rows, panel, part, key, factor, scratch);
      else meet<Layout, 1>(rows, panel, part, key, factor, scratch);
    }
  }
  float times[kQueries] = {};
  for (int64_t i = 0; i < rows.count; i++) {
    float& logarithm = lse.as<float>()[rows.at[i]];
    logarithm = rows.isEmpty(i) ? 0.0f : scratch.tops[i] * kLn2 + std::log(scratch.totals[i]);
    times[i] = rows.isEmpty(i) ? 0.0f : 1.0f / scratch.totals[i];
  }
  const auto out = rows.rowsOf<T>(o);
  for (int64_t i = 0; i < rows.count; i += kTileC) {
    turnBack(scratch.sums + i * width, kTileC, least(kTileC, rows.count - i), shape.headDim, times + i,
             [&](int64_t j) { return out(i + j); });
  }
}

/** So many query rows of a key head, or fewer, are not worth laying keys out for. */
constexpr int64_t kFewQueries = 4;

/** Scratch of one thread for few rows: queries, then scores, and sums, all row by row. */
struct FewScratch {
  uint32_t* queries;
  float *scores, *sums;

  FewScratch(char* place, int64_t width) {
    queries = reinterpret_cast<uint32_t*>(place);
    scores = reinterpret_cast<float*>(queries + kFewQueries * width);
    sums = scores + kFewQueries * kKeys;
  }
};

/** One query's products with kLanes keys, or fewer: what the lanes of each add up to is summed for all of them at once. */
template <class Layout, class Row>
Floats scoresOf(const uint32_t* query, int64_t headDim, int64_t keys, const Row& row) {
  Words32 square[kLanes];
  for (int64_t j = 0; j < kLanes; j++) {
    const auto* key = row(least(j, keys - 1));
    Floats products = {};
    for (int64_t d = 0; d < headDim; d += kLanes * Layout::kPerStep) {
      Words32 words;
      std::memcpy(&words, query + d / Layout::kPerStep, sizeof words);
      multiplyAdd(Layout{}, products, words, Layout::along(key + d, headDim - d, false));
    }
    square[j] = asWords(products);
  }
  transpose(square);
  Floats total = {};
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; j++) total += asFloats(square[j]);
  return total;
}

/** sums[d] = shrink * sums[d] + the sum over keys of shares[key] values[key][d], for V vectors of d, in the order of the keys. */
template <int V, class Row, class Left>
void addValues(const float* shares, int64_t keys, const Row& values, int64_t d, Left left, float shrink, float* sums) {
  Floats parts[V];
  for (int i = 0; i < V; i++) parts[i] = load(sums + d + i * kLanes) * shrink;
  for (int64_t j = 0; j < keys; j++) {
    const auto* value = values(j) + d;
#pragma GCC unroll 4
    for (int i = 0; i < V; i++) parts[i] += load(value + i * kLanes, left) * shares[j];
  }
  for (int i = 0; i < V; i++) store(sums + d + i * kLanes, parts[i]);
}

/** Few query rows, as in generation: keys and values are read once, where they lie. Shares stay f32. */
template <class T>
void attendFew(const Op& op, const Shape& shape, int64_t batch, int64_t kvHead, char* place) {
  using Layout = LayoutOf<T>;
  const Operand &o = op.out(0), &lse = op.out(1);
  const QueryRows rows(shape, batch, kvHead, 0);
  const int64_t width = shape.width(), headDim = shape.headDim;
  const float factor = shape.scale * kLog2E;
  const FewScratch scratch(place, width);
  layDown<Layout>(rows.count, headDim, rows.rowsOf<const T>(op.in(0)), scratch.queries, width);
  std::memset(scratch.sums, 0, static_cast<size_t>(rows.count * width) * 4);
  float tops[kFewQueries], totals[kFewQueries] = {};
  for (float& top : tops) top = -__builtin_inff();
  for (int64_t key = rows.seen.from; key < rows.seen.to; key += kKeys) {
    const int64_t keys = least(kKeys, rows.seen.to - key), keyRow = batch * shape.seqK + key;
    const auto k = keysOf<const T>(shape, op.in(1), keyRow, kvHead), v = keysOf<const T>(shape, op.in(2), keyRow, kvHead);
    for (int64_t j = 0; j < keys; j += kLanes) {
      for (int64_t i = 0; i < rows.count; i++) {
        const auto near = [&](int64_t at) { return k(j + at); };
        const Floats scores = scoresOf<Layout>(scratch.queries + i * width, headDim, least(kLanes, keys - j), near);
        store(scratch.scores + i * kKeys + j, scores * factor);
      }
    }
    for (int64_t i = 0; i < rows.count; i++) {
      float* scores = scratch.scores + i * kKeys;
      const int64_t from = most(rows.from[i] - key, 0), to = least(rows.to[i] - key, keys);
      if (from >= to) continue;
      const float before = tops[i];
      for (int64_t j = from; j < to; j++) tops[i] = scores[j] > tops[i] ? scores[j] : tops[i];
      const float base = tops[i] == -__builtin_inff() ? 0.0f : tops[i], shrink = std::exp2(before - base);
      totals[i] *= shrink;
      totals[i] += sumOver(to - from, [&](int64_t j, auto left) {
        const Floats share = powerOfTwo(load(scores + from + j, left) - base);
        store(scores + from + j, share, left);
        return left == kLanes ? share : load(scores + from + j, left);
      });
      const auto values = [&](int64_t j) { return v(from + j); };
      float* sums = scratch.sums + i * width;
      int64_t d = 0;
      for (; d + 4 * kLanes <= headDim; d += 4 * kLanes) addValues<4>(scores + from, to - from, values, d, AllLanes{}, shrink, sums);
      eachVector(d, headDim, [&](int64_t at, auto left) { addValues<1>(scores + from, to - from, values, at, left, shrink, sums); });
    }
  }
  const auto out = rows.rowsOf<T>(o);
  for (int64_t i = 0; i < rows.count; i++) {
    lse.as<float>()[rows.at[i]] = rows.isEmpty(i) ? 0.0f : tops[i] * kLn2 + std::log(totals[i]);
    const float times = rows.isEmpty(i) ? 0.0f : 1.0f / totals[i];
    eachVector(0, headDim, [&](int64_t d, auto left) { store(out(i) + d, load(scratch.sums + i * width + d) * times, left); });
  }
}

}  // namespace

bool attention(const Op& op, Run& run) {
  const Shape shape = shapeOf(op, 0, 1, 3);
  if (!checkRanges(op, run, 3, shape)) return false;
  const int64_t bytes = attentionBytes(shape.headDim), keyHeads = shape.batch * shape.kvHeads;
  withAct(op.in(0).type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    if (shape.seqQ * shape.group() <= kFewQueries) {
      run.each(keyHeads, [&](int64_t one, int thread) {
        attendFew<T>(op, shape, one / shape.kvHeads, one % shape.kvHeads, op.workspace + thread * bytes);
      });
      return;
    }
    run.each(keyHeads * shape.rowBlocks(), [&](int64_t task, int thread) {
      // The last blocks first: under a causal mask they have the most keys, and a long task should not be begun at the end.
      const int64_t block = shape.rowBlocks() - 1 - task / keyHeads, one = task % keyHeads;
      attend<T>(op, shape, one / shape.kvHeads, one % shape.kvHeads, block, op.workspace + thread * bytes);
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
