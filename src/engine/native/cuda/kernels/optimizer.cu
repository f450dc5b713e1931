// Gradient norm and AdamW. Formulas: ops.ts.

#include "cuda.h"

namespace tunebook::cuda {

/** sums[block] = sum of x² over 4096 numbers, in f64. */
TB_KERNEL(square_blocks, 256, SquaresParams) {
  TB_SHARED(double, room, 32);
  const int64_t start = static_cast<int64_t>(blockIdx.x) * 4096;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < 4096; i += 256) {
    const double v = start + i < p.count ? p.x[start + i] : 0.0f;
    sum += v * v;
  }
  sum = blockSum(sum, room);
  if (threadIdx.x == 0) p.sums[blockIdx.x] = sum;
}

/** total += the sums. One block. */
TB_KERNEL(square_total, 256, SquaresParams) {
  TB_SHARED(double, room, 32);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < p.blocks; i += 256) sum += p.sums[i];
  sum = blockSum(sum, room);
  if (threadIdx.x == 0) *p.total = static_cast<float>(*p.total + sum);
}

TB_KERNEL(adamw, 256, AdamParams) {
  TB_SHARED(float, facts, 4);
  const double squares = *p.total;
  if (!(squares - squares == 0)) return;  // not finite
  if (threadIdx.x == 0) {
    // learningRate, step, gradScale, clipNorm as in ops.ts
    const double rate = p.uniforms[0] * p.rateFactor, step = p.uniforms[1], gradScale = p.uniforms[2], clipNorm = p.uniforms[3];
    const double norm = sqrt(squares) * gradScale;
    const double clip = clipNorm > 0 && norm + 1e-6 > clipNorm ? clipNorm / (norm + 1e-6) : 1.0;
    facts[0] = static_cast<float>(gradScale * clip);
    facts[1] = static_cast<float>(1 - rate * p.decay);
    facts[2] = static_cast<float>(sqrt(1 - pow(p.beta2, step)));
    facts[3] = static_cast<float>(-rate / (1 - pow(p.beta1, step)));
  }
  __syncthreads();
  const float scale = facts[0], keep = facts[1], root2 = facts[2], size = facts[3];
  const float toward = static_cast<float>(1 - p.beta1), old = static_cast<float>(p.beta2), fresh = static_cast<float>(1 - p.beta2);
  const float tiny = static_cast<float>(p.eps);
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < p.count; i += stride) {
    const float g = p.grad[i] * scale, decayed = p.param[i] * keep, before = p.m[i];
    const float mean = before + toward * (g - before), square = p.v[i] * old + fresh * g * g;
    p.m[i] = mean;
    p.v[i] = square;
    p.param[i] = decayed + size * mean / (sqrtf(square) / root2 + tiny);
  }
}

}  // namespace tunebook::cuda
