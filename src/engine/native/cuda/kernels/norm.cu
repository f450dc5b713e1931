// RMS norm and its gradients, a block per row. Formulas: ops.ts.

#include "cuda.h"

namespace tunebook::cuda {

TB_KERNEL(rms_norm, 256, NormParams) {
  TB_SHARED(float, room, 32);
  const int64_t start = static_cast<int64_t>(blockIdx.x) * p.width;
  float squares = 0;
  for (int64_t i = threadIdx.x; i < p.width; i += blockDim.x) {
    const float v = loadAs(p.type, p.x, start + i);
    squares = fmaf(v, v, squares);
  }
  squares = blockSum(squares, room);
  const float r = static_cast<float>(1.0 / sqrt(static_cast<double>(squares) / static_cast<double>(p.width) + p.eps));
  if (threadIdx.x == 0) p.rstd[blockIdx.x] = r;
  for (int64_t i = threadIdx.x; i < p.width; i += blockDim.x) {
    storeAs(p.type, p.y, start + i, loadAs(p.type, p.x, start + i) * r * loadAs(p.weightType, p.weight, i));
  }
}

TB_KERNEL(rms_norm_input, 256, NormParams) {
  TB_SHARED(float, room, 32);
  const int64_t start = static_cast<int64_t>(blockIdx.x) * p.width;
  float products = 0;
  for (int64_t i = threadIdx.x; i < p.width; i += blockDim.x) {
    const float slope = loadAs(p.type, p.dy, start + i) * loadAs(p.weightType, p.weight, i);
    products = fmaf(slope, loadAs(p.type, p.x, start + i), products);
  }
  products = blockSum(products, room);
  const float r = p.rstd[blockIdx.x], pull = r * r * (products / static_cast<float>(p.width));
  for (int64_t i = threadIdx.x; i < p.width; i += blockDim.x) {
    const float slope = loadAs(p.type, p.dy, start + i) * loadAs(p.weightType, p.weight, i);
    float value = r * (slope - loadAs(p.type, p.x, start + i) * pull);
    if (p.accumulate) value += loadAs(p.type, p.dx, start + i);
    storeAs(p.type, p.dx, start + i, value);
  }
}

/**
 * Sums over rows, 32 columns per block: each of 8 warps takes every eighth row, then their sums are added in order.
 * With x it is the gradient of the norm's weight, without it that of a bias.
 */
TB_KERNEL(column_sums, 256, NormParams) {
  TB_SHARED(float, room, 8 * 32);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * 32 + lane;
  float sum = 0;
  if (column < p.width) {
    for (int64_t row = warp; row < p.rows; row += 8) {
      const int64_t at = row * p.width + column;
      const float slope = loadAs(p.type, p.dy, at);
      sum += p.x ? slope * loadAs(p.type, p.x, at) * p.rstd[row] : slope;
    }
  }
  room[warp * 32 + lane] = sum;
  __syncthreads();
  if (warp == 0 && column < p.width) {
    float total = 0;
    for (int i = 0; i < 8; i++) total += room[i * 32 + lane];
    p.dWeight[column] += total;
  }
}

}  // namespace tunebook::cuda
