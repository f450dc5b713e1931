// A tile of a product's factor on its way to shared memory, and from there to the tensor cores' registers. Next to read: product.cu.
//
// A factor lies in memory as its rows do: "along k" when a row runs along the sum, "turned" when it runs along the result. The tile keeps
// that order; ldmatrix turns it where needed, so one row-major weight serves both the product and its gradient.
#pragma once

#include "mma.h"

namespace tunebook::cuda {

constexpr int kStepK = 32;
/** Numbers between the ends of two rows, so that eight rows of 16 bytes lie in different banks. */
constexpr int kGap = 8;

/** Element types of the tensor cores, by their code. */
template <class E>
struct CodeOf;
template <>
struct CodeOf<bf16> {
  static constexpr int32_t value = kBf16;
};
template <>
struct CodeOf<f16> {
  static constexpr int32_t value = kF16;
};

/** `side` elements along the result, kStepK along the sum. */
template <class E, int side, bool turned>
struct Tile {
  static constexpr int kRows = turned ? kStepK : side;
  static constexpr int kColumns = turned ? side : kStepK;
  static constexpr int kStride = kColumns + kGap;
  static constexpr int kSize = kRows * kStride;
  static constexpr int kChunks = kRows * kColumns / 8;

  /**
   * Bring the part of `m` that begins at `i0` along the result and at `k0` along the sum; zeros beyond `sizeI` and `sizeK`.
   * Numbers of another dtype are rounded on the way, and then are there at once.
   */
  template <int threads>
  static TB_DEVICE void fetch(E* tile, const Matrix& m, int64_t i0, int64_t k0, int64_t sizeI, int64_t sizeK) {
    const int64_t row0 = turned ? k0 : i0, column0 = turned ? i0 : k0;
    const int64_t rows = turned ? sizeK : sizeI, columns = turned ? sizeI : sizeK;
    const bool asIs = m.type == CodeOf<E>::value && m.vector != 0;
#pragma unroll
    for (int c = 0; c < (kChunks + threads - 1) / threads; c++) {
      const int chunk = c * threads + static_cast<int>(threadIdx.x);
      if (kChunks % threads != 0 && chunk >= kChunks) break;
      const int r = chunk / (kColumns / 8), j = chunk % (kColumns / 8) * 8;
      const int64_t row = row0 + r, column = column0 + j;
      E* to = tile + r * kStride + j;
      const bool inside = row < rows && column < columns;
      const int64_t source = inside ? (m.rows ? m.rows[row] : row) * m.stride + column : 0;
      if (asIs) copyAsync(to, static_cast<const E*>(m.data) + source, inside);
      else convert(to, m, source, inside ? columns - column : 0);
    }
  }

  /** Up to 8 numbers of any dtype. */
  static TB_DEVICE void convert(E* to, const Matrix& m, int64_t source, int64_t count) {
    float v[8] = {};
    if (m.type == kF32 && m.vector && count > 0) {
      const auto* from = reinterpret_cast<const float4*>(static_cast<const float*>(m.data) + source);
      const float4 low = from[0], high = from[1];
      v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
      v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        if (i < count) v[i] = loadAs(m.type, m.data, source + i);
      }
    }
    *reinterpret_cast<uint4*>(to) = {packPair(v[0], v[1], E{}), packPair(v[2], v[3], E{}), packPair(v[4], v[5], E{}),
                                     packPair(v[6], v[7], E{})};
  }

  /** The left factor of mma at i .. i + 15 and k .. k + 15. */
  static TB_DEVICE void left(uint32_t (&r)[4], const E* tile, int i, int k) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (turned) loadMatricesTurned(r, tile + (k + lane % 8 + lane / 16 * 8) * kStride + i + lane / 8 % 2 * 8);
    else loadMatrices(r, tile + (i + lane % 16) * kStride + k + lane / 16 * 8);
  }

  /** Two right factors: r[0] and r[1] at i .. i + 7, r[2] and r[3] at i + 8 .. i + 15; k .. k + 15. */
  static TB_DEVICE void right(uint32_t (&r)[4], const E* tile, int i, int k) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (turned) loadMatricesTurned(r, tile + (k + lane % 8 + lane / 8 % 2 * 8) * kStride + i + lane / 16 * 8);
    else loadMatrices(r, tile + (i + lane % 8 + lane / 16 * 8) * kStride + k + lane / 8 % 2 * 8);
  }
};

}  // namespace tunebook::cuda
