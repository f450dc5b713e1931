// Softmax attention with a running maximum and sum per query (Dao et al. 2022), so that the score matrix is never whole.
// One task is a block of queries of one head; it walks over the blocks of keys that any of its queries sees.

#include <cmath>

#include "scores.h"

namespace tunebook::TB_ISA {
namespace {

/** Scratch of one thread; its sum is attentionBytes in workspace.cpp. */
struct Scratch {
  float *queries, *keys, *values, *scores, *shares, *sums, *tops, *totals;

  Scratch(char* place, int64_t headDim) {
    const int64_t columns = roundUp(headDim, kTileCols);
    queries = reinterpret_cast<float*>(place);
    keys = queries + kQueries * headDim;
    values = keys + kKeys * headDim;
    scores = values + columns * kKeys;
    shares = scores + kQueries * kKeys;
    sums = shares + kQueries * kKeys;
    tops = sums + kQueries * columns;
    totals = tops + kQueries;
  }
};

/**
 * Turn one query's scores against a block of keys into exp(scale * score - top), and bring what was summed before to the new top.
 * `from` and `to` are the visible keys within the block.
 */
void shareOut(float* scores, int64_t from, int64_t to, float scale, float& top, float& total, float* sums, int64_t columns) {
  if (from >= to) return clear(scores, kKeys);
  const Floats none = splat(-__builtin_inff());
  Floats tops = none;
  for (int64_t j = 0; j < kKeys; j += kLanes) {
    const Floats score = lanesWithin(j, from, to) ? load(scores + j) * scale : none;
    store(scores + j, score);
    tops = score > tops || score != score ? score : tops;
  }
  const float before = top;
  top = largest(tops);
  if (before > top) top = before;
  Floats parts = {};
  for (int64_t j = 0; j < kKeys; j += kLanes) {
    const Floats share = exponential(load(scores + j) - top);
    store(scores + j, share);
    parts += share;
  }
  if (before == top) {
    total += sum(parts);
    return;
  }
  const float shrink = total == 0 ? 0.0f : std::exp(before - top);
  total = total * shrink + sum(parts);
  for (int64_t j = 0; j < columns; j += kLanes) store(sums + j, load(sums + j) * shrink);
}

void attend(const Op& op, const Shape& shape, int64_t batch, int64_t head, int64_t block, char* place) {
  const Operand &q = op.in(0), &k = op.in(1), &v = op.in(2), &o = op.out(0), &lse = op.out(1);
  const Queries queries(shape, batch, block);
  const Scratch scratch(place, shape.headDim);
  const int64_t columns = roundUp(shape.headDim, kTileC), kvHead = head / shape.group();
  clear(scratch.sums, queries.count * columns);
  clear(scratch.totals, queries.count);
  for (int64_t i = 0; i < queries.count; i++) scratch.tops[i] = -__builtin_inff();
  if (queries.firstKey < queries.lastKey) {
    packRows(headFactor(q, queries.row, head, shape.headDim, false), queries.count, shape.headDim, scratch.queries);
  }
  for (int64_t key = queries.firstKey; key < queries.lastKey; key += kKeys) {
    const int64_t keys = least(kKeys, queries.lastKey - key), keyRow = batch * shape.seqK + key;
    packColumns(headFactor(k, keyRow, kvHead, shape.headDim, false), keys, shape.headDim, scratch.keys);
    multiplyBlock(queries.count, keys, shape.headDim, scratch.queries, scratch.keys, scratch.scores, kKeys, 0);
    for (int64_t i = 0; i < queries.count; i++) {
      const int64_t row = queries.row + i;
      shareOut(scratch.scores + i * kKeys, most(shape.from(row) - key, 0), least(shape.to(row) - key, keys), shape.scale,
               scratch.tops[i], scratch.totals[i], scratch.sums + i * columns, columns);
    }
    packRows(localFactor(scratch.scores, kKeys, false), queries.count, keys, scratch.shares);
    packColumns(headFactor(v, keyRow, kvHead, shape.headDim, true), shape.headDim, keys, scratch.values);
    multiplyBlock(queries.count, shape.headDim, keys, scratch.shares, scratch.values, scratch.sums, columns, 1);
  }
  const auto isEmpty = [&](int64_t i) { return shape.from(queries.row + i) >= shape.to(queries.row + i); };
  for (int64_t i = 0; i < queries.count; i++) {
    lse.as<float>()[(queries.row + i) * shape.heads + head] = isEmpty(i) ? 0.0f : scratch.tops[i] + std::log(scratch.totals[i]);
  }
  writeHead(scratch.sums, columns, o, queries.row, queries.count, head, shape.headDim,
            [&](int64_t i) { return isEmpty(i) ? 0.0f : 1.0f / scratch.totals[i]; });
}

}  // namespace

bool attention(const Op& op, Run& run) {
  const Shape shape = shapeOf(op, 0, 1, 3);
  if (!checkRanges(op, run, 3, shape)) return false;
  const int64_t bytes = attentionBytes(shape.headDim);
  run.each(shape.batch * shape.heads * shape.queryBlocks(), [&](int64_t task, int thread) {
    // The last blocks first: under a causal mask they have the most keys, and a long task should not be begun at the end.
    const int64_t block = shape.queryBlocks() - 1 - task / (shape.batch * shape.heads), one = task % (shape.batch * shape.heads);
    attend(op, shape, one / shape.heads, one % shape.heads, block, op.workspace + thread * bytes);
  });
  return true;
}

}  // namespace tunebook::TB_ISA
