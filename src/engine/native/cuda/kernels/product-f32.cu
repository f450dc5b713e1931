// Matrix products of f32 activations in f32, and what products of all kinds share: sums of parts, and products with few rows.

#include "store.h"

namespace tunebook::cuda {
namespace {

constexpr int kSide = 64, kDepth = 16;

/** Element (i, k) of a factor as it enters an f32 product; 0 outside. */
TB_DEVICE float at(const Matrix& m, bool turned, int64_t i, int64_t k, int64_t sizeI, int64_t sizeK) {
  if (i >= sizeI || k >= sizeK) return 0;
  const int64_t row = turned ? k : i, column = turned ? i : k;
  return loadAs(m.type, m.data, (m.rows ? m.rows[row] : row) * m.stride + column);
}

/** 64 x 64 results of 256 threads, 4 x 4 each. */
template <bool turnedA, bool turnedB>
TB_DEVICE void multiplyWide(const ProductParams& p) {
  TB_SHARED(float, a, kDepth * (kSide + 4));
  TB_SHARED(float, b, kDepth * (kSide + 4));
  const int t = static_cast<int>(threadIdx.x), ti = t / 16, tj = t % 16;
  const int64_t i0 = static_cast<int64_t>(blockIdx.x) * kSide, j0 = static_cast<int64_t>(blockIdx.y) * kSide;
  const Extent extent = extentOf(p, p.stretches[0].k);
  if (i0 >= extent.m) return;
  const int64_t steps0 = (extent.k + kDepth - 1) / kDepth, steps1 = p.count == 2 ? (p.stretches[1].k + kDepth - 1) / kDepth : 0;
  const int64_t each = (steps0 + steps1 + p.splits - 1) / p.splits, first = blockIdx.z * each;
  const int64_t last = lesser(steps0 + steps1, first + each);
  float sums[4][4] = {};
  const auto scale = [&] {
    for (auto& row : sums) {
      for (float& sum : row) sum *= p.stretches[1].before;
    }
  };
  for (int64_t step = first; step < last; step++) {
    const bool second = step >= steps0;
    const Stretch& stretch = p.stretches[second ? 1 : 0];
    const int64_t k = (second ? step - steps0 : step) * kDepth, sizeK = second ? stretch.k : extent.k;
    if (p.count == 2 && step == steps0 && step > first) scale();
    __syncthreads();
#pragma unroll
    for (int c = 0; c < kSide * kDepth / 256; c++) {
      const int e = c * 256 + t;
      // Neighbouring threads read neighbouring numbers, whichever way the factor lies.
      const int ai = turnedA ? e % kSide : e / kDepth, ak = turnedA ? e / kSide : e % kDepth;
      const int bi = turnedB ? e % kSide : e / kDepth, bk = turnedB ? e / kSide : e % kDepth;
      a[ak * (kSide + 4) + ai] = at(stretch.a, turnedA, i0 + ai, k + ak, extent.m, sizeK);
      b[bk * (kSide + 4) + bi] = at(stretch.b, turnedB, j0 + bi, k + bk, p.n, sizeK);
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; d++) {
      float left[4], right[4];
#pragma unroll
      for (int i = 0; i < 4; i++) left[i] = a[d * (kSide + 4) + ti * 4 + i], right[i] = b[d * (kSide + 4) + tj * 4 + i];
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
      }
    }
  }
  if (p.count == 2 && last <= steps0) scale();
  for (int i = 0; i < 4; i++) {
    const int64_t row = i0 + ti * 4 + i;
    if (row >= extent.m) break;
    for (int j = 0; j < 4; j += 2) finishPair(p, row, j0 + tj * 4 + j, sums[i][j], sums[i][j + 1]);
  }
}

/** Two rows of results per warp column: lane by lane along k, then over the warp. */
template <int count>
TB_DEVICE void dotRows(const FewParams& p, const void* x, const void* w, int32_t wType, int64_t n, int64_t k, float (&sums)[8]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int t = 0; t < count; t++) sums[t] = 0;
  if (p.vector && p.type == kBf16 && wType == kBf16 && k % 8 == 0) {
    const auto* row = static_cast<const bf16*>(w) + n * k;
    for (int64_t at = lane * 8; at < k; at += 256) {
      const uint4 packed = *reinterpret_cast<const uint4*>(row + at);
      const uint32_t ws[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
      for (int t = 0; t < count; t++) {
        if (t >= p.rows) break;
        const uint4 acts = *reinterpret_cast<const uint4*>(static_cast<const bf16*>(x) + t * k + at);
        const uint32_t xs[4] = {acts.x, acts.y, acts.z, acts.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
          sums[t] = fmaf(widen(bf16{static_cast<uint16_t>(xs[i])}), widen(bf16{static_cast<uint16_t>(ws[i])}), sums[t]);
          sums[t] = fmaf(widen(bf16{static_cast<uint16_t>(xs[i] >> 16)}), widen(bf16{static_cast<uint16_t>(ws[i] >> 16)}), sums[t]);
        }
      }
    }
  } else {
    for (int64_t at = lane; at < k; at += 32) {
      const float value = roundedTo(p.type, loadAs(wType, w, n * k + at));
#pragma unroll
      for (int t = 0; t < count; t++) {
        if (t < p.rows) sums[t] = fmaf(loadAs(p.type, x, t * k + at), value, sums[t]);
      }
    }
  }
#pragma unroll
  for (int t = 0; t < count; t++) sums[t] = warpSum(sums[t]);
}

}  // namespace

TB_KERNEL(product_f32_kk, 256, ProductParams) { multiplyWide<false, false>(p); }
TB_KERNEL(product_f32_kt, 256, ProductParams) { multiplyWide<false, true>(p); }
TB_KERNEL(product_f32_tt, 256, ProductParams) { multiplyWide<true, true>(p); }

/** Parts of split sums, added in their order. */
TB_KERNEL(product_sum, 256, ProductParams) {
  const Extent extent = extentOf(p, p.stretches[0].k);
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x, count = extent.m * p.n;
  for (int64_t e = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += step) {
    float sum = 0;
    for (int part = 0; part < p.splits; part++) sum += p.parts[part * p.m * p.n + e];
    finish(p, e / p.n, e % p.n, sum);
  }
}

/** Few rows, as in generation: a warp reads one row of w once and multiplies it with all of them. */
TB_KERNEL(product_few, 256, FewParams) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
  if (n >= p.n) return;
  float sums[8], updates[8] = {};
  dotRows<8>(p, p.x, p.w, p.wType, n, p.k, sums);
  if (p.h) dotRows<8>(p, p.h, p.b, p.bType, n, p.rank, updates);
  const float shift = p.bias ? loadAs(p.biasType, p.bias, n) : 0.0f;
  if (threadIdx.x % 32 == 0) {
#pragma unroll
    for (int t = 0; t < 8; t++) {
      if (t < p.rows) storeAs(p.yType, p.y, t * p.n + n, sums[t] + p.scale * updates[t] + shift);
    }
  }
}

}  // namespace tunebook::cuda
