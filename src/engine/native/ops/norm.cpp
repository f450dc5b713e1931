// RMS norm and its gradients. Formulas: ops.ts.

#include "kernels.h"

namespace tunebook::TB_ISA {

bool rmsNorm(const Op& op, Run& run) {
  const Operand &x = op.in(0), &weight = op.in(1), &y = op.out(0), &rstd = op.out(1);
  const int64_t rows = x.shape[0], width = x.shape[1];
  const double eps = op.attrs[0];
  withAct(x.type, [&](auto* act) {
    withType(weight.type, [&](auto* factor) {
      using T = std::remove_pointer_t<decltype(act)>;
      const auto* w = weight.as<std::remove_pointer_t<decltype(factor)>>();
      run.pieces(rows, divideUp(kPiece, width), [&](int64_t from, int64_t to) {
        for (int64_t t = from; t < to; t++) {
          const T* in = x.as<T>() + t * width;
          T* out = y.as<T>() + t * width;
          const double squares = sumOver(width, [&](int64_t i, auto left) {
            const Floats v = load(in + i, left);
            return v * v;
          });
          const auto r = static_cast<float>(1.0 / __builtin_sqrt(squares / static_cast<double>(width) + eps));
          rstd.as<float>()[t] = r;
          eachVector(0, width, [&](int64_t i, auto left) { store(out + i, load(in + i, left) * r * load(w + i, left), left); });
        }
      });
    });
  });
  return true;
}

bool rmsNormInput(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &x = op.in(1), &weight = op.in(2), &rstd = op.in(3), &dx = op.out(0);
  const int64_t rows = x.shape[0], width = x.shape[1];
  const bool accumulate = op.attrs[0] == 1;
  withAct(x.type, [&](auto* act) {
    withType(weight.type, [&](auto* factor) {
      using T = std::remove_pointer_t<decltype(act)>;
      const auto* w = weight.as<std::remove_pointer_t<decltype(factor)>>();
      run.pieces(rows, divideUp(kPiece, width), [&](int64_t from, int64_t to) {
        for (int64_t t = from; t < to; t++) {
          const T *g = dy.as<T>() + t * width, *in = x.as<T>() + t * width;
          T* out = dx.as<T>() + t * width;
          const float products =
              sumOver(width, [&](int64_t i, auto left) { return load(g + i, left) * load(w + i, left) * load(in + i, left); });
          const float r = rstd.as<float>()[t], pull = r * r * products / static_cast<float>(width);
          eachVector(0, width, [&](int64_t i, auto left) {
            Floats v = r * (load(g + i, left) * load(w + i, left) - load(in + i, left) * pull);
            if (accumulate) v += load(out + i, left);
            store(out + i, v, left);
          });
        }
      });
    });
  });
  return true;
}

bool rmsNormWeight(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &x = op.in(1), &rstd = op.in(2), &dWeight = op.out(0);
  const int64_t rows = x.shape[0], width = x.shape[1];
  withAct(x.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(width, 64, [&](int64_t first, int64_t last) {
      sumColumns(rows, first, last, dWeight.as<float>(), [&](int64_t t, int64_t j, int64_t left) {
        return load(dy.as<T>() + t * width + j, left) * load(x.as<T>() + t * width + j, left) * rstd.as<float>()[t];
      });
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
