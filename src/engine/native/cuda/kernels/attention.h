// What the attention kernels share: which keys a query sees, rows of a head in shared memory, and their fragments for the tensor cores.
#pragma once

#include "mma.h"

namespace tunebook::cuda {

/** Keys that a query sees, [from, to); empty for one outside the batch. */
struct Keys {
  int from, to;
  TB_DEVICE bool see(int key) const { return key >= from && key < to; }
};

/** Of a query of one row of the batch. A range that is not empty and leaves the keys is told, and counts as empty. */
TB_DEVICE Keys keysOf(const AttentionParams& p, int batch, int query) {
  if (query >= p.seqQ) return {0, 0};
  const int64_t row = static_cast<int64_t>(batch) * p.seqQ + query;
  const int from = p.ranges[2 * row], to = p.ranges[2 * row + 1];
  if (from >= to) return {0, 0};
  if (from < 0 || to > p.seqK) {
    report(p.fault, row);
    return {0, 0};
  }
  return {from, to};
}

/** The keys that any of `count` queries sees, found by each warp for itself. */
TB_DEVICE Keys keysOfAll(const AttentionParams& p, int batch, int query, int count) {
  Keys all{p.seqK, 0};
  for (int i = static_cast<int>(threadIdx.x) % 32; i < count; i += 32) {
    const Keys one = keysOf(p, batch, query + i);
    if (one.from >= one.to) continue;
    all.from = one.from < all.from ? one.from : all.from;
    all.to = one.to > all.to ? one.to : all.to;
  }
  for (int step = 16; step > 0; step /= 2) {
    const int from = __shfl_xor_sync(0xffffffffu, all.from, step), to = __shfl_xor_sync(0xffffffffu, all.to, step);
    all.from = from < all.from ? from : all.from;
    all.to = to > all.to ? to : all.to;
  }
  return all;
}

/** Rows of one head, dims numbers each (the head's own and zeros after them), in shared memory. */
template <class E, int dims>
struct HeadRows {
  static constexpr int kStride = dims + 8;

  /** `count` rows from `row` on, of which `there` exist. `base` is the head's first number in row 0. */
  template <int count, int threads>
  static TB_DEVICE void fetch(E* tile, const E* base, int64_t stride, int64_t row, int there, int headDim, bool vector) {
    constexpr int chunks = dims / 8;
#pragma unroll 1
    for (int c = 0; c < count * chunks / threads; c++) {
      const int chunk = c * threads + static_cast<int>(threadIdx.x), r = chunk / chunks, j = chunk % chunks * 8;
      const bool inside = r < there && j < headDim;
      const E* from = base + (inside ? (row + r) * stride + j : 0);
      E* to = tile + r * kStride + j;
      if (vector) {
        copyAsync(to, from, inside);
      } else {
        for (int i = 0; i < 8; i++) to[i] = inside && j + i < headDim ? from[i] : E{0};
      }
    }
  }

  static TB_DEVICE void left(uint32_t (&r)[4], const E* tile, int i, int k) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    loadMatrices(r, tile + (i + lane % 16) * kStride + k + lane / 16 * 8);
  }
  /** Rows are the result's columns, dims are summed. */
  static TB_DEVICE void right(uint32_t (&r)[4], const E* tile, int i, int k) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    loadMatrices(r, tile + (i + lane % 8 + lane / 16 * 8) * kStride + k + lane / 8 % 2 * 8);
  }
  /** Dims are the result's columns, rows are summed. */
  static TB_DEVICE void rightTurned(uint32_t (&r)[4], const E* tile, int i, int k) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    loadMatricesTurned(r, tile + (k + lane % 8 + lane / 8 % 2 * 8) * kStride + i + lane / 16 * 8);
  }

  /** sums [16, columns] = rows i .. i + 15 of `a` times `columns` rows of `b`. */
  template <int columns>
  static TB_DEVICE void scores(float (&sums)[columns / 8][4], const E* a, int i, const E* b) {
#pragma unroll
    for (auto& sum : sums) sum[0] = sum[1] = sum[2] = sum[3] = 0;
#pragma unroll
    for (int k = 0; k < dims; k += 16) {
      uint32_t one[4];
      left(one, a, i, k);
#pragma unroll
      for (int j = 0; j < columns / 16; j++) {
        uint32_t two[4];
        right(two, b, 16 * j, k);
        multiplyAdd(sums[2 * j], one, two[0], two[1], E{});
        multiplyAdd(sums[2 * j + 1], one, two[2], two[3], E{});
      }
    }
  }

  /** sums [16, dims] += weights [16, columns], as a product left them, times `columns` rows of `b`. */
  template <int columns>
  static TB_DEVICE void gather(float (&sums)[dims / 8][4], const float (&weights)[columns / 8][4], const E* b) {
#pragma unroll
    for (int k = 0; k < columns / 16; k++) {
      const auto &low = weights[2 * k], &high = weights[2 * k + 1];
      const uint32_t one[4] = {packPair(low[0], low[1], E{}), packPair(low[2], low[3], E{}), packPair(high[0], high[1], E{}),
                               packPair(high[2], high[3], E{})};
#pragma unroll
      for (int j = 0; j < dims / 16; j++) {
        uint32_t two[4];
        rightTurned(two, b, 16 * j, 16 * k);
        multiplyAdd(sums[2 * j], one, two[0], two[1], E{});
        multiplyAdd(sums[2 * j + 1], one, two[2], two[3], E{});
      }
    }
  }

  /** Sums [16, dims] of this warp to rows of a head in memory, each of the lane's two rows times its factor. */
  static TB_DEVICE void write(const float (&sums)[dims / 8][4], E* base, int64_t stride, int64_t row, int there, int headDim, bool vector,
                              float low, float high) {
    const int lane = static_cast<int>(threadIdx.x) % 32, column = lane % 4 * 2;
    // One place per row, so that all stores are at fixed distances from it: as many addresses would not fit into the registers.
    E* to = base + (row + lane / 4) * stride + column;
    writeRow(sums, 0, to, lane / 4 < there, headDim - column, vector, low);
    writeRow(sums, 2, to + 8 * stride, lane / 4 + 8 < there, headDim - column, vector, high);
  }

  static TB_DEVICE void writeRow(const float (&sums)[dims / 8][4], int first, E* to, bool exists, int left, bool vector, float factor) {
    if (!exists) return;
#pragma unroll
    for (int j = 0; j < dims / 8; j++) {
      const float one = sums[j][first] * factor, two = sums[j][first + 1] * factor;
      if (vector) {
        if (8 * j < left) *reinterpret_cast<uint32_t*>(to + 8 * j) = packPair(one, two, E{});
        continue;
      }
      if (8 * j < left) narrow(to[8 * j], one);
      if (8 * j + 1 < left) narrow(to[8 * j + 1], two);
    }
  }
};

}  // namespace tunebook::cuda
