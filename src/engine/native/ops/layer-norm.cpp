// Layer norm and its gradients. Formulas: ops.ts.

#include "kernels.h"

namespace tunebook::TB_ISA {

bool layerNorm(const Op& op, Run& run) {
  const Operand &x = op.in(0), &weight = op.in(1), &bias = op.in(2), &y = op.out(0), &mean = op.out(1), &rstd = op.out(2);
  const int64_t rows = x.shape[0], width = x.shape[1];
  const double eps = op.attrs[0];
  withAct(x.type, [&](auto* act) {
    withType(weight.type, [&](auto* factor) {
      withType(bias.type, [&](auto* addend) {
        using T = std::remove_pointer_t<decltype(act)>;
        const auto* w = weight.as<std::remove_pointer_t<decltype(factor)>>();
        const auto* b = bias.as<std::remove_pointer_t<decltype(addend)>>();
        run.pieces(rows, divideUp(kPiece, width), [&](int64_t from, int64_t to) {
          for (int64_t t = from; t < to; t++) {
            const T* in = x.as<T>() + t * width;
            T* out = y.as<T>() + t * width;
            Floats total = {};
            for (int64_t i = 0; i < width; i += kLanes) total += load(in + i, width - i);
            const float m = sum(total) / static_cast<float>(width);
            // Of the differences, not of x²: their mean would cancel. The last lanes beyond the row would count m².
            Floats squares = {};
            int64_t i = 0;
            for (; i + kLanes <= width; i += kLanes) {
              const Floats v = load(in + i) - m;
              squares += v * v;
            }
            float tail = 0;
            for (; i < width; i++) {
              const float v = widen(in[i]) - m;
              tail += v * v;
            }
            const double variance = (static_cast<double>(sum(squares)) + tail) / static_cast<double>(width);
            const float r = static_cast<float>(1.0 / __builtin_sqrt(variance + eps));
            mean.as<float>()[t] = m;
            rstd.as<float>()[t] = r;
            for (int64_t j = 0; j < width; j += kLanes) {
              const int64_t left = width - j;
              store(out + j, (load(in + j, left) - m) * r * load(w + j, left) + load(b + j, left), left);
            }
          }
        });
      });
    });
  });
  return true;
}

bool layerNormInput(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &x = op.in(1), &weight = op.in(2), &mean = op.in(3), &rstd = op.in(4), &dx = op.out(0);
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
          const float m = mean.as<float>()[t], r = rstd.as<float>()[t];
          Floats straight = {}, turned = {};
          for (int64_t i = 0; i < width; i += kLanes) {
            const int64_t left = width - i;
            const Floats weighted = load(g + i, left) * load(w + i, left);  // 0 beyond the row
            straight += weighted;
            turned += weighted * (load(in + i, left) - m);
          }
          const float count = static_cast<float>(width), pull = sum(straight) / count, turn = sum(turned) * r / count;
          for (int64_t i = 0; i < width; i += kLanes) {
            const int64_t left = width - i;
            Floats v = r * (load(g + i, left) * load(w + i, left) - pull - (load(in + i, left) - m) * (r * turn));
            if (accumulate) v += load(out + i, left);
            store(out + i, v, left);
          }
        }
      });
    });
  });
  return true;
}

bool layerNormWeight(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &x = op.in(1), &mean = op.in(2), &rstd = op.in(3), &dWeight = op.out(0);
  const int64_t rows = x.shape[0], width = x.shape[1];
  withAct(x.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(width, 64, [&](int64_t first, int64_t last) {
      sumColumns(rows, first, last, dWeight.as<float>(), [&](int64_t t, int64_t j, int64_t left) {
        const Floats moved = load(x.as<T>() + t * width + j, left) - mean.as<float>()[t];
        return load(dy.as<T>() + t * width + j, left) * moved * rstd.as<float>()[t];
      });
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
