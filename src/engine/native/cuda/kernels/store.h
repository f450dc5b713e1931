// Where the sums of a product go. Shared by the products of 16-bit and of f32 factors.
#pragma once

#include "cuda.h"

namespace tunebook::cuda {

/** Rows and depth of a product whose size is known to the device alone. */
struct Extent {
  int64_t m, k;
};

TB_DEVICE Extent extentOf(const ProductParams& p, int64_t k) {
  Extent extent{p.m, k};
  if (p.limit) {
    const int64_t left = greater(0, static_cast<int64_t>(*p.limit) - p.base);
    if (p.limits == 1) extent.m = lesser(extent.m, left);
    else extent.k = lesser(extent.k, left);
  }
  return extent;
}

TB_DEVICE float factorOf(const ProductParams& p) { return p.scale ? p.alpha * static_cast<float>(*p.scale) : p.alpha; }

/** out[i, j] from the finished sum. */
TB_DEVICE void finish(const ProductParams& p, int64_t i, int64_t j, float sum) {
  const int64_t at = (p.outRows ? p.outRows[i] : i) * p.outStride + j;
  float value = sum * factorOf(p);
  if (p.bias) value += loadAs(p.biasType, p.bias, j);
  if (p.accumulate) value += loadAs(p.outType, p.out, at);
  storeAs(p.outType, p.out, at, value);
}

/** Two neighbouring results at once where they lie together. */
TB_DEVICE void finishPair(const ProductParams& p, int64_t i, int64_t j, float first, float second) {
  if (p.splits > 1) {
    float* part = p.parts + (blockIdx.z * p.m + i) * p.n + j;
    if (j < p.n) part[0] = first;
    if (j + 1 < p.n) part[1] = second;
    return;
  }
  if (j + 1 < p.n && p.outType == kBf16 && p.outStride % 2 == 0 && !p.accumulate) {
    const int64_t at = (p.outRows ? p.outRows[i] : i) * p.outStride + j;
    const float factor = factorOf(p);
    const float low = p.bias ? loadAs(p.biasType, p.bias, j) : 0.0f, high = p.bias ? loadAs(p.biasType, p.bias, j + 1) : 0.0f;
    *reinterpret_cast<uint32_t*>(static_cast<bf16*>(p.out) + at) = packPair(first * factor + low, second * factor + high, bf16{});
    return;
  }
  if (j < p.n) finish(p, i, j, first);
  if (j + 1 < p.n) finish(p, i, j + 1, second);
}

}  // namespace tunebook::cuda
