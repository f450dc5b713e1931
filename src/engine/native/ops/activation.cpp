// The functions between the matrices of a feed-forward block: gelu, alone and as a gate, and relu; and the scaled sum of a residual.
// Formulas: ops.ts.

#include "kernels.h"

namespace tunebook::TB_ISA {
namespace {

/** x / 2 (1 + tanh u) is x times the logistic function of 2u; here the function, and what its slope needs. */
struct Gelu {
  Floats x, share, steep;

  explicit Gelu(Floats x) : x(x) {
    constexpr float kTwiceRoot = 1.5957691216057308f, kCube = 0.044715f;  // 2 sqrt(2 / pi)
    const Floats squared = x * x;
    share = 1.0f / (1.0f + exponential(-kTwiceRoot * (x + kCube * x * squared)));
    steep = kTwiceRoot * (1.0f + 3.0f * kCube * squared);
  }

  Floats value() const { return x * share; }

  Floats slope() const {
    // Far out the share is 0 or 1 and steep may be infinite: their product is 0.
    const Floats bend = share * (1.0f - share);
    return share + (bend != 0.0f ? x * bend * steep : Floats{});
  }
};

/** y = value(x, more) of whole operands of one shape; `more` is a second operand, or x again. */
template <class Value>
bool eachElement(const Operand& x, const Operand& more, const Operand& y, Run& run, const Value& value) {
  withAct(y.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(y.count, kPiece, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i += kLanes) {
        store(y.as<T>() + i, value(load(x.as<T>() + i, to - i), load(more.as<T>() + i, to - i)), to - i);
      }
    });
  });
  return true;
}

}  // namespace

bool gelu(const Op& op, Run& run) {
  return eachElement(op.in(0), op.in(0), op.out(0), run, [](Floats x, Floats) { return Gelu(x).value(); });
}

bool geluBackward(const Op& op, Run& run) {
  return eachElement(op.in(0), op.in(1), op.out(0), run, [](Floats dy, Floats x) { return dy * Gelu(x).slope(); });
}

bool geglu(const Op& op, Run& run) {
  return eachElement(op.in(0), op.in(1), op.out(0), run, [](Floats gate, Floats up) { return Gelu(gate).value() * up; });
}

bool gegluBackward(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &gate = op.in(1), &up = op.in(2), &dGate = op.out(0), &dUp = op.out(1);
  withAct(dy.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(dy.count, kPiece, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i += kLanes) {
        const int64_t left = to - i;
        const Floats d = load(dy.as<T>() + i, left), u = load(up.as<T>() + i, left);
        const Gelu gelu(load(gate.as<T>() + i, left));
        store(dGate.as<T>() + i, d * u * gelu.slope(), left);
        store(dUp.as<T>() + i, d * gelu.value(), left);
      }
    });
  });
  return true;
}

bool relu(const Op& op, Run& run) {
  return eachElement(op.in(0), op.in(0), op.out(0), run, [](Floats x, Floats) { return x < 0.0f ? Floats{} : x; });
}

bool reluBackward(const Op& op, Run& run) {
  return eachElement(op.in(0), op.in(1), op.out(0), run, [](Floats dy, Floats x) { return x > 0.0f ? dy : Floats{}; });
}

bool scaledAdd(const Op& op, Run& run) {
  const Operand &a = op.in(0), &b = op.in(1);
  const auto alpha = static_cast<float>(op.attrs[0]);
  if (!b.present) return eachElement(a, a, op.out(0), run, [=](Floats x, Floats) { return alpha * x; });
  return eachElement(a, b, op.out(0), run, [=](Floats x, Floats y) { return alpha * x + y; });
}

}  // namespace tunebook::TB_ISA
