// Rotary position embedding. Formulas: ops.ts.

#include "cuda.h"

namespace tunebook::cuda {

/** A block per token. Each thread turns pairs; what lies beyond the turned part is copied where y is another place. */
TB_KERNEL(rope, 256, RopeParams) {
  const int64_t row = blockIdx.x;
  const int position = p.positions[row], pairs = p.heads * p.cols, rest = p.headDim - 2 * p.cols;
  const bool inside = position >= 0 && position < p.table;
  if (!inside && threadIdx.x == 0) report(p.fault, row);
  const float *cos = p.cos + static_cast<int64_t>(inside ? position : 0) * p.cols, *sin = p.sin + (cos - p.cos);
  const int64_t start = row * p.heads * p.headDim;
  for (int e = static_cast<int>(threadIdx.x); e < pairs; e += static_cast<int>(blockDim.x)) {
    const int head = e / p.cols, i = e % p.cols;
    const int64_t first = start + head * p.headDim + (p.interleaved ? 2 * i : i), second = first + (p.interleaved ? 1 : p.cols);
    const float a = loadAs(p.type, p.x, first), b = loadAs(p.type, p.x, second), c = cos[i], s = sin[i] * p.sign;
    storeAs(p.type, p.y, first, a * c - b * s);
    storeAs(p.type, p.y, second, b * c + a * s);
  }
  if (p.x == p.y || rest == 0) return;
  for (int e = static_cast<int>(threadIdx.x); e < p.heads * rest; e += static_cast<int>(blockDim.x)) {
    const int64_t at = start + e / rest * p.headDim + 2 * p.cols + e % rest;
    storeAs(p.type, p.y, at, loadAs(p.type, p.x, at));
  }
}

}  // namespace tunebook::cuda
