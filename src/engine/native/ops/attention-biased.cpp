// Attention whose scores get a number by distance. One task is a block of queries of one head; it walks over the keys block by block with
// a running maximum and sum per query, as attention.cpp does, in f32 throughout.

#include <cmath>

#include "distances.h"

namespace tunebook::TB_ISA {
namespace {

/** Scratch of one thread, within biasedBytes. */
struct Scratch {
  float *turned, *values, *sums, *scores, *tops, *totals, *numbers;

  Scratch(char* place, int64_t width) {
    turned = reinterpret_cast<float*>(place);
    values = turned + kBiasedKeys * width;
    sums = values + kBiasedKeys * width;
    scores = sums + kBiasedQueries * width;
    tops = scores + kBiasedKeys;
    totals = tops + kBiasedQueries;
    numbers = totals + kBiasedQueries;
  }
};

/** Bring what was summed before to the new maximum, then add this block's keys. */
void addBlock(const Biased& at, const Visible& visible, const float* numbers, const Scratch& scratch, int64_t i) {
  const Floats none = splat(-__builtin_inff());
  Floats tops = none;
  for (int64_t j = 0; j < kBiasedKeys; j += kLanes) {
    const Floats score = visible.lanes(j) ? load(scratch.scores + j) * at.scale + load(numbers + j) : none;
    store(scratch.scores + j, score);
    tops = score > tops || score != score ? score : tops;
  }
  const float before = scratch.tops[i];
  float top = largest(tops);
  if (before > top) top = before;
  Floats parts = {};
  for (int64_t j = 0; j < kBiasedKeys; j += kLanes) {
    const Floats share = exponential(load(scratch.scores + j) - top);
    store(scratch.scores + j, share);
    parts += share;
  }
  float* sums = scratch.sums + i * at.width;
  const float shrink = scratch.totals[i] == 0 ? 0.0f : std::exp(before - top);
  scratch.tops[i] = top;
  scratch.totals[i] = scratch.totals[i] * shrink + sum(parts);
  for (int64_t j = 0; j < at.width; j += kLanes) store(sums + j, load(sums + j) * shrink);
  for (int64_t key = visible.from; key < visible.to; key++) addRow(scratch.scores[key], scratch.values + key * at.width, at.width, sums);
}

void attend(const Biased& at, int64_t batch, int64_t head, int64_t block, char* place) {
  const Op& op = at.op;
  const Scratch scratch(place, at.width);
  const int64_t kvHead = head / (at.heads / at.kvHeads), row = batch * at.seqQ + block * kBiasedQueries;
  const int64_t count = least(kBiasedQueries, at.seqQ - block * kBiasedQueries);
  at.takeDistances(head, scratch.numbers);
  std::memset(scratch.sums, 0, static_cast<size_t>(kBiasedQueries * at.width) * 4);
  for (int64_t i = 0; i < kBiasedQueries; i++) {
    scratch.tops[i] = -__builtin_inff();
    scratch.totals[i] = 0;
  }
  float query[kBiasedWidth];
  for (int64_t key = 0; key < at.seqK; key += kBiasedKeys) {
    bool taken = false;
    for (int64_t i = 0; i < count; i++) {
      const Visible visible(at, row + i, key);
      if (!visible.any()) continue;
      if (!taken) {
        const int64_t keys = least(kBiasedKeys, at.seqK - key), keyRow = batch * at.seqK + key;
        turnRows(op.in(1), keyRow, keys, kvHead, at.headDim, scratch.turned);
        widenRows(op.in(2), keyRow, keys, kvHead, at.headDim, at.width, scratch.values);
        taken = true;
      }
      // The query's numbers pass through a few at a time: its products with the block add up in scratch.
      std::memset(scratch.scores, 0, kBiasedKeys * 4);
      for (int64_t j = 0; j < at.headDim; j += kBiasedWidth) {
        const int64_t part = least(kBiasedWidth, at.headDim - j);
        withAct(op.in(0).type, [&](auto* act) {
          using T = std::remove_pointer_t<decltype(act)>;
          const T* from = op.in(0).as<T>() + (row + i) * op.in(0).shape[1] + head * at.headDim + j;
          for (int64_t n = 0; n < part; n++) query[n] = widen(from[n]);
        });
        float products[kBiasedKeys];
        meetKeys(query, scratch.turned + j * kBiasedKeys, part, products);
        for (int64_t n = 0; n < kBiasedKeys; n += kLanes) store(scratch.scores + n, load(scratch.scores + n) + load(products + n));
      }
      addBlock(at, visible, scratch.numbers + kBiasedKeys + at.firstDistance(row + i, key), scratch, i);
    }
  }
  for (int64_t i = 0; i < count; i++) {
    const bool empty = at.ranges[2 * (row + i)] >= at.ranges[2 * (row + i) + 1];
    op.out(1).as<float>()[(row + i) * at.heads + head] = empty ? 0.0f : scratch.tops[i] + std::log(scratch.totals[i]);
    narrowRow(scratch.sums + i * at.width, empty ? 0.0f : 1.0f / scratch.totals[i], op.out(0), row + i, head, at.headDim);
  }
}

}  // namespace

bool attentionBiased(const Op& op, Run& run) {
  const Biased at(op, 0, 1, 3, 4, 5, 6);
  if (!at.check(run, 3, 6)) return false;
  const int64_t bytes = at.threadBytes(), one = at.batch * at.heads;
  run.each(one * at.queryBlocks(), [&](int64_t task, int thread) {
    // The last blocks first: under a causal mask they have the most keys, and a long task should not be begun at the end.
    attend(at, task % one / at.heads, task % at.heads, at.queryBlocks() - 1 - task / one, op.workspace + thread * bytes);
  });
  return true;
}

}  // namespace tunebook::TB_ISA
