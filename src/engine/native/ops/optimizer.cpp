// Gradient norm and AdamW. Formulas: ops.ts.

#include "../workspace.h"
#include "kernels.h"

namespace tunebook::TB_ISA {

/** Blocks are summed on all threads, then added up in their order. */
bool sumSquares(const Op& op, Run& run) {
  const Operand &x = op.in(0), &total = op.out(0);
  auto* sums = reinterpret_cast<double*>(op.workspace);
  run.pieces(x.count, kSquaresBlock, [&](int64_t from, int64_t to) {
    constexpr int kParts = 8;
    double parts[kParts] = {};
    const float* v = x.as<float>();
    int64_t i = from;
    for (; i + kParts <= to; i += kParts) {
      for (int j = 0; j < kParts; j++) parts[j] += static_cast<double>(v[i + j]) * v[i + j];
    }
    for (; i < to; i++) parts[0] += static_cast<double>(v[i]) * v[i];
    double sum = 0;
    for (double part : parts) sum += part;
    sums[from / kSquaresBlock] = sum;
  });
  double sum = 0;
  for (int64_t block = 0; block < divideUp(x.count, kSquaresBlock); block++) sum += sums[block];
  float& out = *total.as<float>();
  out = static_cast<float>(out + sum);
  return true;
}

bool adamw(const Op& op, Run& run) {
  const Operand &grad = op.in(0), &total = op.in(1), &param = op.out(0), &first = op.out(1), &second = op.out(2);
  const double beta1 = op.attrs[0], beta2 = op.attrs[1], eps = op.attrs[2], decay = op.attrs[3];
  const double rate = run.uniforms[kLearningRate] * op.attrs[4], step = run.uniforms[kStep];
  const double gradScale = run.uniforms[kGradScale], clipNorm = run.uniforms[kClipNorm];
  const double squares = *total.as<float>();
  if (!__builtin_isfinite(squares)) return true;
  const double norm = __builtin_sqrt(squares) * gradScale;
  const double clip = clipNorm > 0 && norm + 1e-6 > clipNorm ? clipNorm / (norm + 1e-6) : 1.0;
  const double correct1 = 1 - __builtin_pow(beta1, step), correct2 = 1 - __builtin_pow(beta2, step);
  const auto scale = static_cast<float>(gradScale * clip), keep = static_cast<float>(1 - rate * decay);
  const auto toward = static_cast<float>(1 - beta1), old = static_cast<float>(beta2), fresh = static_cast<float>(1 - beta2);
  const auto root2 = static_cast<float>(__builtin_sqrt(correct2)), tiny = static_cast<float>(eps);
  const auto size = static_cast<float>(-rate / correct1);
  run.pieces(param.count, kPiece, [&](int64_t from, int64_t to) {
    float *w = param.as<float>(), *m = first.as<float>(), *v = second.as<float>();
    eachVector(from, to, [&](int64_t i, auto left) {
      const Floats g = load(grad.as<float>() + i, left) * scale;
      const Floats decayed = load(w + i, left) * keep;
      const Floats before = load(m + i, left);
      const Floats mean = before + toward * (g - before);
      const Floats square = load(v + i, left) * old + fresh * g * g;
      store(m + i, mean, left);
      store(v + i, square, left);
      store(w + i, decayed + size * mean / (squareRoot(square) / root2 + tiny), left);
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
