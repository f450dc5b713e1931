// Ops that look at one element at a time: swiglu, add, cast, zero, dropout. Formulas: ops.ts.

#include "kernels.h"

namespace tunebook::TB_ISA {
namespace {

/** Between 2^-126 and 1, so that no exponent needs a look. */
Floats sigmoid(Floats v) {
  const Floats x = v * -1.44269504f, high = splat(126.0f);
  return 1.0f / (1.0f + powerOfTwo(high < x ? high : x));
}

/** One round of MurmurHash3's finaliser, as in random.ts. */
template <class Word>
Word mix(Word h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

/** A uniform as the 32-bit word that JavaScript's ^ would make of it; uniforms are checked to be whole numbers of 32 bits. */
uint32_t wordOf(double value) { return static_cast<uint32_t>(static_cast<int64_t>(value)); }

}  // namespace

bool swiglu(const Op& op, Run& run) {
  const Operand &gate = op.in(0), &up = op.in(1), &y = op.out(0);
  withAct(y.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(y.count, kPiece, [&](int64_t from, int64_t to) {
      eachVector(from, to, [&](int64_t i, auto left) {
        const Floats g = load(gate.as<T>() + i, left);
        store(y.as<T>() + i, g * sigmoid(g) * load(up.as<T>() + i, left), left);
      });
    });
  });
  return true;
}

bool swigluBackward(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &gate = op.in(1), &up = op.in(2), &dGate = op.out(0), &dUp = op.out(1);
  withAct(dy.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(dy.count, kPiece, [&](int64_t from, int64_t to) {
      eachVector(from, to, [&](int64_t i, auto left) {
        const Floats d = load(dy.as<T>() + i, left), g = load(gate.as<T>() + i, left), u = load(up.as<T>() + i, left);
        const Floats s = sigmoid(g);
        store(dGate.as<T>() + i, d * u * s * (1.0f + g * (1.0f - s)), left);
        store(dUp.as<T>() + i, d * g * s, left);
      });
    });
  });
  return true;
}

bool add(const Op& op, Run& run) {
  const Operand &a = op.in(0), &b = op.in(1), &y = op.out(0);
  withAct(y.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(y.count, kPiece, [&](int64_t from, int64_t to) {
      eachVector(from, to, [&](int64_t i, auto left) {
        store(y.as<T>() + i, load(a.as<T>() + i, left) + load(b.as<T>() + i, left), left);
      });
    });
  });
  return true;
}

bool cast(const Op& op, Run& run) {
  const Operand &x = op.in(0), &y = op.out(0);
  if (isQuantized(x.type) || isQuantized(y.type)) return castQuantized(op, run);
  withType(x.type, [&](auto* from) {
    withType(y.type, [&](auto* to) {
      using From = std::remove_pointer_t<decltype(from)>;
      using To = std::remove_pointer_t<decltype(to)>;
      run.pieces(y.count, kPiece, [&](int64_t first, int64_t last) {
        eachVector(first, last, [&](int64_t i, auto left) { store(y.as<To>() + i, load(x.as<From>() + i, left), left); });
      });
    });
  });
  return true;
}

bool zero(const Op& op, Run& run) {
  const Operand& x = op.out(0);
  run.pieces(x.bytes(), 1 << 18, [&](int64_t from, int64_t to) { std::memset(x.data + from, 0, static_cast<size_t>(to - from)); });
  return true;
}

bool dropout(const Op& op, Run& run) {
  const Operand &x = op.in(0), &y = op.out(0);
  const double p = op.attrs[0];
  uint32_t prefix = 0x9e3779b9u;
  for (double word : {run.uniforms[kSeed], run.uniforms[kStep], run.uniforms[kMicro], op.attrs[1]}) {
    prefix = mix((prefix * 0x01000193u) ^ wordOf(word));
  }
  const uint32_t start = prefix * 0x01000193u;
  // The 24 random bits, over 2^24, are at least p just when the bits are at least p * 2^24 rounded up.
  const auto threshold = static_cast<uint32_t>(__builtin_ceil(p * 0x1p24));
  const auto scale = static_cast<float>(1.0 / (1.0 - p));
  withAct(x.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(x.count, kPiece, [&](int64_t from, int64_t to) {
      Words32 lanes;
      for (uint32_t lane = 0; lane < kLanes; lane++) lanes[lane] = lane;
      eachVector(from, to, [&](int64_t i, auto left) {
        const Words32 bits = mix((lanes + static_cast<uint32_t>(i)) ^ start) >> 8;
        const Floats v = load(x.as<T>() + i, left) * scale;
        store(y.as<T>() + i, bits >= threshold ? v : Floats{}, left);
      });
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
