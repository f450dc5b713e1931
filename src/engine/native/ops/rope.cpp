// Rotary position embedding, which turned the other way is its own gradient. Formulas: ops.ts.

#include "kernels.h"

namespace tunebook::TB_ISA {
namespace {

/** Pairs (i, i + cols). */
template <class T>
void turnHalves(const T* x, T* y, const float* cos, const float* sin, float sign, int64_t cols) {
  eachVector(0, cols, [&](int64_t i, auto left) {
    const Floats c = load(cos + i, left), s = load(sin + i, left) * sign;
    const Floats a = load(x + i, left), b = load(x + cols + i, left);
    store(y + i, a * c - b * s, left);
    store(y + cols + i, b * c + a * s, left);
  });
}

/** Pairs (2i, 2i + 1). */
template <class T>
void turnNeighbours(const T* x, T* y, const float* cos, const float* sin, float sign, int64_t cols) {
  for (int64_t i = 0; i < cols; i++) {
    const float a = widen(x[2 * i]), b = widen(x[2 * i + 1]), c = cos[i], s = sin[i] * sign;
    narrow(y[2 * i], a * c - b * s);
    narrow(y[2 * i + 1], b * c + a * s);
  }
}

}  // namespace

bool rope(const Op& op, Run& run) {
  const Operand &x = op.in(0), &cos = op.in(1), &sin = op.in(2), &positions = op.in(3), &y = op.out(0);
  if (!checkIndices(op, run, 3, "positions", cos.shape[0], false)) return false;
  const int64_t width = x.shape[1], heads = op.whole(0), headDim = width / heads, cols = cos.shape[1];
  const float sign = op.attrs[2] == 1 ? -1.0f : 1.0f;
  const bool neighbours = op.attrs[1] == 1;
  withAct(x.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(x.shape[0], divideUp(kPiece, width), [&](int64_t from, int64_t to) {
      for (int64_t t = from; t < to; t++) {
        const int64_t position = positions.as<int32_t>()[t];
        const float *c = cos.as<float>() + position * cols, *s = sin.as<float>() + position * cols;
        for (int64_t head = 0; head < heads; head++) {
          const T* in = x.as<T>() + t * width + head * headDim;
          T* out = y.as<T>() + t * width + head * headDim;
          if (neighbours) turnNeighbours(in, out, c, s, sign, cols);
          else turnHalves(in, out, c, s, sign, cols);
          if (in != out) std::memcpy(out + 2 * cols, in + 2 * cols, static_cast<size_t>(headDim - 2 * cols) * sizeof(T));
        }
      }
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
