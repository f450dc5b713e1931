// The gradient of attention in two passes, so that no sum is shared between threads and each is made in one order:
// dk and dv per block of keys, over all queries that see it; dq per block of queries, over all keys it sees. Scores are made again.
//
//     p = exp(scale * q·k - lse)     ds = p (do·v - do·o)     dv = pᵀ do     dk = scale dsᵀ q     dq = scale ds k

#include "scores.h"

namespace tunebook::TB_ISA {
namespace {

/** Scratch of one thread; its sum is attentionBackwardBytes in workspace.cpp. */
struct Scratch {
  float *queries, *outGradients, *keys, *values, *scores, *gradients, *rows, *columns, *first, *second, *means, *lse;

  Scratch(char* place, int64_t headDim) {
    const int64_t width = roundUp(headDim, kTileCols);
    queries = reinterpret_cast<float*>(place);
    outGradients = queries + kQueries * headDim;
    keys = outGradients + kQueries * headDim;
    values = keys + kKeys * headDim;
    scores = values + kKeys * headDim;
    gradients = scores + kQueries * kKeys;
    rows = gradients + kQueries * kKeys;
    columns = rows + roundUp(kKeys, kTileRows) * kQueries;
    first = columns + width * kQueries;
    second = first + width * kQueries;
    means = second + width * kQueries;
    lse = means + kQueries;
  }
};

struct Backward {
  const Op& op;
  const Shape shape;
  const Operand &dOut, &q, &k, &v, &o, &lse, &dq, &dk, &dv;

  explicit Backward(const Op& op)
      : op(op), shape(shapeOf(op, 1, 2, 6)), dOut(op.in(0)), q(op.in(1)), k(op.in(2)), v(op.in(3)), o(op.in(4)),
        lse(op.in(5)), dq(op.out(0)), dk(op.out(1)), dv(op.out(2)) {}

  Factor headOf(const Operand& operand, int64_t row, int64_t head, bool turned) const {
    return headFactor(operand, row, head, shape.headDim, turned);
  }

  /** Pack a block of queries and of the gradient of their results, and take do·o and lse of each. */
  void takeQueries(const Queries& queries, int64_t head, const Scratch& scratch) const {
    packRows(headOf(q, queries.row, head, false), queries.count, shape.headDim, scratch.queries);
    packRows(headOf(dOut, queries.row, head, false), queries.count, shape.headDim, scratch.outGradients);
    withAct(q.type, [&](auto* act) {
      using T = std::remove_pointer_t<decltype(act)>;
      for (int64_t i = 0; i < queries.count; i++) {
        const int64_t at = (queries.row + i) * q.shape[1] + head * shape.headDim;
        Floats products = {};
        for (int64_t j = 0; j < shape.headDim; j += kLanes) {
          products += load(dOut.as<T>() + at + j, shape.headDim - j) * load(o.as<T>() + at + j, shape.headDim - j);
        }
        scratch.means[i] = sum(products);
        scratch.lse[i] = lse.as<float>()[(queries.row + i) * shape.heads + head];
      }
    });
  }

  void takeKeys(int64_t keyRow, int64_t keys, int64_t kvHead, const Scratch& scratch) const {
    packColumns(headOf(k, keyRow, kvHead, false), keys, shape.headDim, scratch.keys);
    packColumns(headOf(v, keyRow, kvHead, false), keys, shape.headDim, scratch.values);
  }

  /** scores: p.   gradients: scale * ds.   Both [queries, kKeys]. */
  void makeGradients(const Queries& queries, int64_t key, int64_t keys, const Scratch& scratch) const {
    multiplyBlock(queries.count, keys, shape.headDim, scratch.queries, scratch.keys, scratch.scores, kKeys, 0);
    multiplyBlock(queries.count, keys, shape.headDim, scratch.outGradients, scratch.values, scratch.gradients, kKeys, 0);
    for (int64_t i = 0; i < queries.count; i++) {
      const int64_t row = queries.row + i, from = most(shape.from(row) - key, 0), to = least(shape.to(row) - key, keys);
      float *scores = scratch.scores + i * kKeys, *gradients = scratch.gradients + i * kKeys;
      if (from >= to) {
        clear(scores, kKeys);
        clear(gradients, kKeys);
        continue;
      }
      for (int64_t j = 0; j < kKeys; j += kLanes) {
        const Ints seen = lanesWithin(j, from, to);
        const Floats p = seen ? exponential(load(scores + j) * shape.scale - scratch.lse[i]) : Floats{};
        const Floats ds = seen ? p * (load(gradients + j) - scratch.means[i]) * shape.scale : Floats{};
        store(scores + j, p);
        store(gradients + j, ds);
      }
    }
  }

  /** dk and dv of one block of keys of one key head: the heads of its group and their blocks of queries in order. */
  void keyGradients(int64_t batch, int64_t kvHead, int64_t block, char* place) const {
    const Scratch scratch(place, shape.headDim);
    const int64_t width = roundUp(shape.headDim, kTileC), key = block * kKeys, keys = least(kKeys, shape.seqK - key);
    const int64_t keyRow = batch * shape.seqK + key;
    clear(scratch.first, keys * width);
    clear(scratch.second, keys * width);
    bool taken = false;
    for (int64_t head = kvHead * shape.group(); head < (kvHead + 1) * shape.group(); head++) {
      for (int64_t q0 = 0; q0 < shape.queryBlocks(); q0++) {
        const Queries queries(shape, batch, q0);
        if (!queries.see(key, key + keys)) continue;
        if (!taken) takeKeys(keyRow, keys, kvHead, scratch);
        taken = true;
        takeQueries(queries, head, scratch);
        makeGradients(queries, key, keys, scratch);
        packRows(localFactor(scratch.scores, kKeys, true), keys, queries.count, scratch.rows);
        packColumns(headOf(dOut, queries.row, head, true), shape.headDim, queries.count, scratch.columns);
        multiplyBlock(keys, shape.headDim, queries.count, scratch.rows, scratch.columns, scratch.first, width, 1);
        packRows(localFactor(scratch.gradients, kKeys, true), keys, queries.count, scratch.rows);
        packColumns(headOf(q, queries.row, head, true), shape.headDim, queries.count, scratch.columns);
        multiplyBlock(keys, shape.headDim, queries.count, scratch.rows, scratch.columns, scratch.second, width, 1);
      }
    }
    const auto whole = [](int64_t) { return 1.0f; };
    writeHead(scratch.first, width, dv, keyRow, keys, kvHead, shape.headDim, whole);
    writeHead(scratch.second, width, dk, keyRow, keys, kvHead, shape.headDim, whole);
  }

  /** dq of one block of queries of one head. */
  void queryGradients(int64_t batch, int64_t head, int64_t block, char* place) const {
    const Scratch scratch(place, shape.headDim);
    const Queries queries(shape, batch, block);
    const int64_t width = roundUp(shape.headDim, kTileC), kvHead = head / shape.group();
    clear(scratch.first, queries.count * width);
    if (queries.firstKey < queries.lastKey) takeQueries(queries, head, scratch);
    for (int64_t key = queries.firstKey; key < queries.lastKey; key += kKeys) {
      const int64_t keys = least(kKeys, queries.lastKey - key), keyRow = batch * shape.seqK + key;
      takeKeys(keyRow, keys, kvHead, scratch);
      makeGradients(queries, key, keys, scratch);
      packRows(localFactor(scratch.gradients, kKeys, false), queries.count, keys, scratch.rows);
      packColumns(headOf(k, keyRow, kvHead, true), shape.headDim, keys, scratch.columns);
      multiplyBlock(queries.count, shape.headDim, keys, scratch.rows, scratch.columns, scratch.first, width, 1);
    }
    writeHead(scratch.first, width, dq, queries.row, queries.count, head, shape.headDim, [](int64_t) { return 1.0f; });
  }
};

}  // namespace

bool attentionBackward(const Op& op, Run& run) {
  const Backward backward(op);
  const Shape& shape = backward.shape;
  if (!checkRanges(op, run, 6, shape)) return false;
  const int64_t bytes = attentionBackwardBytes(shape.headDim);
  const int64_t keyTasks = shape.batch * shape.kvHeads * shape.keyBlocks();
  const int64_t queryTasks = shape.batch * shape.heads * shape.queryBlocks();
  run.each(keyTasks + queryTasks, [&](int64_t task, int thread) {
    char* place = op.workspace + thread * bytes;
    if (task < keyTasks) {
      const int64_t block = task % shape.keyBlocks(), one = task / shape.keyBlocks();
      backward.keyGradients(one / shape.kvHeads, one % shape.kvHeads, block, place);
    } else {
      const int64_t block = (task - keyTasks) % shape.queryBlocks(), one = (task - keyTasks) / shape.queryBlocks();
      backward.queryGradients(one / shape.heads, one % shape.heads, block, place);
    }
  });
  return true;
}

}  // namespace tunebook::TB_ISA
