// What attention with a number by distance and its backward share: the numbers of one head, and blocks of keys widened to f32.
#pragma once

#include "../workspace.h"
#include "kernels.h"

namespace tunebook::TB_ISA {

/** Sizes and ranges; `q`, `k`, `ranges`, `positions`, `bias` and `buckets` are places of operands. */
struct Biased {
  const Op& op;
  const int64_t batch, heads, kvHeads, seqQ, seqK, headDim, width;
  const float scale;
  const int32_t *ranges, *positions, *buckets;
  const int64_t distances;
  const Operand& bias;

  Biased(const Op& op, int q, int k, int ranges, int positions, int bias, int buckets)
      : op(op), batch(op.whole(0)), heads(op.whole(1)), kvHeads(op.whole(2)), seqQ(op.in(q).shape[0] / batch),
        seqK(op.in(k).shape[0] / batch), headDim(op.in(q).shape[1] / heads), width(roundUp(headDim, kBiasedWidth)),
        scale(static_cast<float>(op.attrs[3])), ranges(op.in(ranges).as<int32_t>()), positions(op.in(positions).as<int32_t>()),
        buckets(op.in(buckets).as<int32_t>()), distances(op.in(buckets).count), bias(op.in(bias)) {}

  int64_t queryBlocks() const { return divideUp(seqQ, kBiasedQueries); }
  int64_t keyBlocks() const { return divideUp(seqK, kBiasedKeys); }
  int64_t threadBytes() const { return biasedBytes(headDim, distances); }

  /** False, with the reason, unless ranges lie within the keys and buckets within the table. */
  bool check(Run& run, int rangesAt, int bucketsAt) const {
    for (int64_t row = 0; row < batch * seqQ; row++) {
      const int64_t from = ranges[2 * row], to = ranges[2 * row + 1];
      if (from >= to || (from >= 0 && to <= seqK)) continue;
      return fail(run.status, TB_FAILED, op.index, rangesAt, "ranges[%lld] is [%lld, %lld), expected to lie in [0, %lld)",
                  static_cast<long long>(row), static_cast<long long>(from), static_cast<long long>(to),
                  static_cast<long long>(seqK));
    }
    return checkIndices(op, run, bucketsAt, "buckets", bias.shape[0], false);
  }

  int64_t within(int64_t at) const { return least(most(at, 0), distances - 1); }

  /** The head's number for each distance, a block of keys wider on both sides, so that any block finds its numbers in one row. */
  void takeDistances(int64_t head, float* numbers) const {
    withType(bias.type, [&](auto* type) {
      const auto* table = bias.as<std::remove_pointer_t<decltype(type)>>();
      for (int64_t i = 0; i < distances + 2 * kBiasedKeys; i++) {
        numbers[i] = widen(table[buckets[within(i - kBiasedKeys)] * heads + head]);
      }
    });
  }

  /** Place among the distances of a query's first key of a block, as far out as there are numbers. */
  int64_t firstDistance(int64_t row, int64_t key) const {
    return least(most(key - positions[row] + (distances - 1) / 2, -kBiasedKeys), distances);
  }
};

/** Keys of a block that one query sees, [from, to) within the block. */
struct Visible {
  int64_t from, to;

  Visible(const Biased& at, int64_t row, int64_t key)
      : from(most(at.ranges[2 * row] - key, 0)), to(least(at.ranges[2 * row + 1] - key, least(kBiasedKeys, at.seqK - key))) {}

  bool any() const { return from < to; }
  Ints lanes(int64_t first) const {
    Ints lane;
    for (int32_t i = 0; i < kLanes; i++) lane[i] = static_cast<int32_t>(first) + i;
    return (lane >= static_cast<int32_t>(from)) & (lane < static_cast<int32_t>(to));
  }
};

/** A head's part of `count` rows in f32, [count][width]; columns beyond headDim are 0. */
static inline void widenRows(const Operand& operand, int64_t row, int64_t count, int64_t head, int64_t headDim, int64_t width,
                             float* out) {
  withAct(operand.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    for (int64_t i = 0; i < count; i++) {
      const T* from = operand.as<T>() + (row + i) * operand.shape[1] + head * headDim;
      for (int64_t j = 0; j < width; j += kLanes) store(out + i * width + j, j < headDim ? load(from + j, headDim - j) : Floats{});
    }
  });
}

/** The same turned, [headDim][kBiasedKeys]: products of a query with all keys of a block need no sums across lanes. Missing keys are 0. */
static inline void turnRows(const Operand& operand, int64_t row, int64_t count, int64_t head, int64_t headDim, float* out) {
  std::memset(out, 0, static_cast<size_t>(headDim * kBiasedKeys) * 4);
  withAct(operand.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    for (int64_t i = 0; i < count; i++) {
      const T* from = operand.as<T>() + (row + i) * operand.shape[1] + head * headDim;
      for (int64_t j = 0; j < headDim; j++) out[j * kBiasedKeys + i] = widen(from[j]);
    }
  });
}

/** out[key] = the sum of x[j] * turned[j][key]. */
static inline void meetKeys(const float* x, const float* turned, int64_t headDim, float* out) {
  constexpr int64_t kVectors = kBiasedKeys / kLanes;
  Floats sums[kVectors] = {};
  for (int64_t j = 0; j < headDim; j++) {
    for (int64_t v = 0; v < kVectors; v++) sums[v] += x[j] * load(turned + j * kBiasedKeys + v * kLanes);
  }
  for (int64_t v = 0; v < kVectors; v++) store(out + v * kLanes, sums[v]);
}

/** out[j] += share * row[j]. */
static inline void addRow(float share, const float* row, int64_t width, float* out) {
  for (int64_t j = 0; j < width; j += kLanes) store(out + j, load(out + j) + share * load(row + j));
}

/** A row of sums to a head's part of an operand, times a factor. */
static inline void narrowRow(const float* from, float times, const Operand& operand, int64_t row, int64_t head, int64_t headDim) {
  withAct(operand.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    T* out = operand.as<T>() + row * operand.shape[1] + head * headDim;
    for (int64_t j = 0; j < headDim; j += kLanes) store(out + j, load(from + j) * times, headDim - j);
  });
}

}  // namespace tunebook::TB_ISA
