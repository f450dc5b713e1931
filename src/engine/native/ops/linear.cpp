// linear and its gradients. Formulas: ops.ts.

#include "../gemm/dot.h"
#include "../gemm/product.h"
#include "kernels.h"

namespace tunebook::TB_ISA {
namespace {

/** A weight [n, k] as a factor whose sums run along k; `turned` when they run along n. Rounded when the activations are bf16. */
Factor weightFactor(const Operand& weight, bool turned, DType act) {
  return {weight.data, weight.type, weight.shape[1], turned, nullptr, act == DType::bf16, weight.shape[0]};
}

Factor actFactor(const Operand& act, bool turned) { return {act.data, act.type, act.shape[1], turned, nullptr, false}; }

/** sums[t] = x[t] · w for T rows of x (already f32), one row of w. */
template <int T, class W>
void dotRows(const float* x, int64_t stride, const W* w, int64_t k, bool round, float* sums) {
  Floats parts[T][2];
  for (int t = 0; t < T; t++) parts[t][0] = parts[t][1] = Floats{};
  auto fetch = [&](int64_t at) {
    const Floats v = load(w + at, k - at);
    return round ? asFloats(roundToBf16(v) << 16) : v;
  };
  int64_t at = 0;
  for (; at + 2 * kLanes <= k; at += 2 * kLanes) {
    const Floats one = fetch(at), two = fetch(at + kLanes);
    for (int t = 0; t < T; t++) {
      parts[t][0] += load(x + t * stride + at) * one;
      parts[t][1] += load(x + t * stride + at + kLanes) * two;
    }
  }
  for (; at < k; at += kLanes) {
    const Floats one = fetch(at);
    for (int t = 0; t < T; t++) parts[t][0] += load(x + t * stride + at, k - at) * one;
  }
  for (int t = 0; t < T; t++) sums[t] = sum(parts[t][0] + parts[t][1]);
}

#if defined(__AVX512BF16__)
/** sums[t] = x[t] · w for T rows of x and one row of w, both bf16: neither is widened. */
template <int T>
void dotPairs(const bf16* x, int64_t k, const bf16* w, float* sums) {
  constexpr int kChains = T < 4 ? 4 / T : 1;  // so many sums that none waits for the one before
  constexpr int64_t kAtOnce = 2 * kLanes;
  Floats parts[kChains][T];
  for (int c = 0; c < kChains; c++) {
    for (int t = 0; t < T; t++) parts[c][t] = Floats{};
  }
  const auto step = [&](Floats(&part)[T], int64_t at, int64_t left) {
    const Words32 column = Pairs::along(w + at, left, false);
    for (int t = 0; t < T; t++) multiplyAdd(Pairs{}, part[t], Pairs::along(x + t * k + at, left, false), column);
  };
  int64_t at = 0;
  for (; at + kChains * kAtOnce <= k; at += kChains * kAtOnce) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; c++) step(parts[c], at + c * kAtOnce, kAtOnce);
  }
  for (; at < k; at += kAtOnce) step(parts[0], at, k - at);
  for (int t = 0; t < T; t++) {
    for (int c = 1; c < kChains; c++) parts[0][t] += parts[c][t];
    sums[t] = sum(parts[0][t]);
  }
}

/** dotPairs for 1 to kFewRows rows. */
void dotPairs(int64_t rows, const bf16* x, int64_t k, const bf16* w, float* sums) {
  for (; rows >= 4; rows -= 4, x += 4 * k, sums += 4) dotPairs<4>(x, k, w, sums);
  if (rows == 3) dotPairs<3>(x, k, w, sums);
  else if (rows == 2) dotPairs<2>(x, k, w, sums);
  else if (rows == 1) dotPairs<1>(x, k, w, sums);
}
#endif

/** dotRows for 1 to kFewRows rows and any dtype of w. */
void dotRows(int64_t rows, const float* x, const Operand& w, int64_t n, bool round, float* sums) {
  const int64_t k = w.shape[1];
  withType(w.type, [&](auto* type) {
    using W = std::remove_pointer_t<decltype(type)>;
    const W* row = w.as<W>() + n * k;
    const bool rounds = round && w.type != DType::bf16;
    switch (rows) {
      case 1: return dotRows<1>(x, k, row, k, rounds, sums);
      case 2: return dotRows<2>(x, k, row, k, rounds, sums);
      case 3: return dotRows<3>(x, k, row, k, rounds, sums);
      case 4: return dotRows<4>(x, k, row, k, rounds, sums);
      default:
        dotRows<4>(x, k, row, k, rounds, sums);
        for (int64_t t = 4; t < rows; t++) dotRows<1>(x + t * k, k, row, k, rounds, sums + t);
    }
  });
}

/** Rows of x in f32, `stride` numbers apart; zeros between them. */
void widenInto(const Operand& x, int64_t stride, float* out) {
  const int64_t k = x.shape[1];
  withAct(x.type, [&](auto* type) {
    const auto* from = x.as<std::remove_pointer_t<decltype(type)>>();
    for (int64_t t = 0; t < x.shape[0]; t++, from += k, out += stride) {
      eachVector(0, k, [&](int64_t i, auto left) { store(out + i, load(from + i, left), left); });
      std::memset(out + k, 0, 4 * (stride - k));
    }
  });
}

/** sums[t] = x[t] · row j of w, where `wide` is x in f32. */
void dotRow(const Operand& x, const float* wide, const Operand& w, int64_t j, float* sums) {
#if defined(__AVX512BF16__)
  if (x.type == DType::bf16 && w.type == DType::bf16) {
    return dotPairs(x.shape[0], x.as<bf16>(), x.shape[1], w.as<bf16>() + j * x.shape[1], sums);
  }
#endif
  dotRows(x.shape[0], wide, w, j, x.type == DType::bf16, sums);
}

/** Rows of a matrix in one piece of work. All of them where that is less than what a second thread costs to call. */
int64_t rowsAtOnce(const Operand& w) {
  constexpr int64_t kLittle = 65536, kPiece = 16384;
  const int64_t n = w.shape[0], k = w.shape[1];
  const int64_t rowBytes = isQuantized(w.type) ? quantizedLayout(w.type, n, k).rowBytes : k * bytesOf(w.type);
  if (n * rowBytes <= kLittle) return n;
  return roundUp(divideUp(kPiece, rowBytes), 16);
}

/** Few rows, as in generation: each row of w is read once and multiplied with all of them; nothing is packed. */
void linearFew(const Op& op, Run& run) {
  const Operand &x = op.in(0), &w = op.in(1), &bias = op.in(2), &h = op.in(3), &b = op.in(4), &y = op.out(0);
  const int64_t rows = x.shape[0], n = w.shape[0], k = x.shape[1];
  const bool coded = isQuantized(w.type);
  const float scale = static_cast<float>(op.attrs[0]);
  const int64_t stride = coded ? roundUp(k, kFewStep) : k;
  auto* wide = reinterpret_cast<float*>(op.workspace);
  float* wideH = wide + rows * stride;
  widenInto(x, stride, wide);
  if (coded && w.type != DType::i8) orderForCodes(wide, rows * stride);
  if (h.present) widenInto(h, h.shape[1], wideH);
  run.pieces(n, rowsAtOnce(w), [&](int64_t from, int64_t to) {
    for (int64_t first = from; first < to; first += kSideBySide) {
      const int64_t count = least(kSideBySide, to - first);
      FewSums sums[kSideBySide];
      if (coded) dotQuantized(wide, stride, rows, w, first, count, sums);
      for (int64_t i = 0; i < count; i++) {
        const int64_t j = first + i;
        float updates[kFewRows] = {}, shift = 0;
        if (!coded) dotRow(x, wide, w, j, sums[i]);
        if (h.present) dotRow(h, wideH, b, j, updates);
        if (bias.present) {
          withType(bias.type, [&](auto* type) { shift = widen(bias.as<std::remove_pointer_t<decltype(type)>>()[j]); });
        }
        for (int64_t t = 0; t < rows; t++) {
          const float value = sums[i][t] + scale * updates[t] + shift;
          withAct(y.type, [&](auto* type) { narrow(y.as<std::remove_pointer_t<decltype(type)>>()[t * n + j], value); });
        }
      }
    }
  });
}

}  // namespace

bool linear(const Op& op, Run& run) {
  const Operand &x = op.in(0), &w = op.in(1), &bias = op.in(2), &h = op.in(3), &b = op.in(4), &y = op.out(0);
  if (x.shape[0] <= kFewRows) {
    linearFew(op, run);
    return true;
  }
  Product product;
  product.m = x.shape[0];
  product.n = w.shape[0];
  product.half = x.type == DType::bf16;
  // The adapter's product goes first: the step to the second stretch multiplies it by `scale`, exactly, before x Wᵀ is added.
  product.count = 0;
  if (h.present) product.stretches[product.count++] = {actFactor(h, false), weightFactor(b, false, x.type), h.shape[1], 0};
  product.stretches[product.count++] = {actFactor(x, false), weightFactor(w, false, x.type), x.shape[1],
                                        h.present ? static_cast<float>(op.attrs[0]) : 0.0f};
  product.out = y.data;
  product.outType = y.type;
  product.outStride = product.n;
  product.bias = bias.data;
  product.biasType = bias.type;
  multiply(product, op.workspace, run);
  return true;
}

bool linearInput(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &w = op.in(1), &g = op.in(2), &a = op.in(3), &dx = op.out(0);
  const float alpha = static_cast<float>(op.attrs[0]);
  Product product;
  product.m = dy.shape[0];
  product.n = w.shape[1];
  product.half = dy.type == DType::bf16;
  product.stretches[0] = {actFactor(dy, false), weightFactor(w, true, dy.type), dy.shape[1], 0};
  if (g.present) {
    product.stretches[1] = {actFactor(g, false), weightFactor(a, true, dy.type), g.shape[1], alpha};
    product.count = 2;
  } else {
    product.alpha = alpha;
  }
  product.accumulate = op.attrs[1] == 1;
  product.out = dx.data;
  product.outType = dx.type;
  product.outStride = product.n;
  multiply(product, op.workspace, run);
  return true;
}

bool linearWeight(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &x = op.in(1), &dW = op.out(0);
  Product product;
  product.m = dy.shape[1];
  product.n = x.shape[1];
  product.half = dy.type == DType::bf16;
  product.stretches[0] = {actFactor(dy, true), actFactor(x, true), dy.shape[0], 0};
  product.alpha = static_cast<float>(op.attrs[0]);
  product.accumulate = true;
  product.out = dW.data;
  product.outStride = product.n;
  multiply(product, op.workspace, run);
  return true;
}

bool linearBias(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &db = op.out(0);
  const int64_t rows = dy.shape[0], n = dy.shape[1];
  withAct(dy.type, [&](auto* type) {
    const auto* from = dy.as<std::remove_pointer_t<decltype(type)>>();
    run.pieces(n, 64, [&](int64_t first, int64_t last) {
      sumColumns(rows, first, last, db.as<float>(), [&](int64_t t, int64_t j, int64_t left) { return load(from + t * n + j, left); });
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
