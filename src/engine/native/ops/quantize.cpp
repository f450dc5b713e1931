// cast to and from matrices in few bits. Every step is one rounding in f32, so that codes are the same on every device: quantized.ts.

#include "../gemm/quantized.h"
#include "kernels.h"

namespace tunebook::TB_ISA {
namespace {

/** The largest size among `count` numbers; NaN when one of them is not finite. */
float absmax(const float* from, int64_t count) {
  Floats most = {}, finite = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats v = load(from + i, count - i);
    most = larger(asFloats(asWords(v) & 0x7fffffffu), most);
    finite += v - v;
  }
  // The same NaN as JavaScript writes.
  return sum(finite) == 0 ? largest(most) : fromBits(0x7fc00000u);
}

/** Whole numbers nearest to v / scale, ties to even, between two of them. */
Floats nearestWhole(Floats v, float scale, float least, float most) {
  const Floats quotient = v / scale, low = splat(least), high = splat(most);
  const Floats bounded = quotient < low ? low : (quotient > high ? high : quotient);
  // Adding 1.5 * 2^23 rounds to a whole number.
  return (bounded + 12582912.0f) - 12582912.0f;
}

void storeCodes(uint8_t* codes, Floats values) {
  float part[kLanes];
  store(part, values);
  for (int64_t i = 0; i < kLanes; i++) codes[i] = static_cast<uint8_t>(static_cast<int32_t>(part[i]));
}

void quantizeWhole(const float* from, int64_t count, float scale, uint8_t* codes) {
  uint8_t part[kLanes];
  for (int64_t i = 0; i < count; i += kLanes) {
    storeCodes(part, scale > 0 ? nearestWhole(load(from + i, count - i), scale, -127, 127) : Floats{});
    std::memcpy(codes + i, part, static_cast<size_t>(least(kLanes, count - i)));
  }
}

/** One group of 4 bits: even columns in the upper halves. */
void quantizeGroup(DType type, const float* from, int64_t count, float scale, uint8_t* codes) {
  uint8_t part[kGroup];
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats v = load(from + i, count - i);
    if (!(scale > 0)) {
      storeCodes(part + i, splat(type == DType::i4 ? 8 : 7));
    } else if (type == DType::i4) {
      storeCodes(part + i, nearestWhole(v, scale, -8, 7) + 8.0f);
    } else {
      const Floats scaled = v / scale;
      Floats code = {};
      for (int border = 0; border < 15; border++) {
        const double middle = (double{kNormalLevels[border]} + double{kNormalLevels[border + 1]}) / 2;
        code += scaled > splat(static_cast<float>(middle)) ? splat(1) : Floats{};
      }
      storeCodes(part + i, code);
    }
  }
  for (int64_t i = 0; i < count; i += 2) codes[i / 2] = static_cast<uint8_t>(part[i] << 4 | part[i + 1]);
}

/** A row of numbers in f32 to its codes and scales. */
void quantizeRow(const Operand& y, const QuantizedLayout& layout, int64_t n, const float* from) {
  const int64_t columns = y.shape[1];
  auto* data = y.as<uint8_t>();
  const float most = absmax(from, columns);
  const float scale = y.type == DType::nf4 ? most : most / (y.type == DType::i8 ? 127.0f : 7.0f);
  std::memcpy(data + layout.scales + 4 * n, &scale, 4);
  uint8_t* codes = data + n * layout.rowBytes;
  if (y.type == DType::i8) return quantizeWhole(from, columns, scale, codes);
  for (int64_t group = 0; group < layout.groups; group++) {
    const int64_t at = group * kGroup, count = least(kGroup, columns - at);
    const float share = scale > 0 ? __builtin_sqrtf(absmax(from + at, count) / most) : 0;
    const auto factor = static_cast<uint8_t>(__builtin_rintf(255.0f * share));
    data[layout.factors + n * layout.groups + group] = factor;
    quantizeGroup(y.type, from + at, count, scale * kFactors.of[factor], codes + at / 2);
  }
}

/** Numbers that are unpacked at a time. */
constexpr int64_t kPart = 16 * kGroup;

}  // namespace

bool castQuantized(const Op& op, Run& run) {
  const Operand &x = op.in(0), &y = op.out(0);
  const int64_t rows = y.shape[0], columns = y.shape[1], piece = most(1, 4 * kPiece / columns);
  if (isQuantized(y.type)) {
    const QuantizedLayout layout = quantizedLayout(y.type, rows, columns);
    withType(x.type, [&](auto* type) {
      using From = std::remove_pointer_t<decltype(type)>;
      run.pieces(rows, piece, [&](int64_t first, int64_t last) {
        std::vector<float> wide(static_cast<size_t>(columns));
        for (int64_t n = first; n < last; n++) {
          const From* from = x.as<From>() + n * columns;
          for (int64_t k = 0; k < columns; k += kLanes) store(wide.data() + k, load(from + k, columns - k), columns - k);
          quantizeRow(y, layout, n, wide.data());
        }
      });
    });
    return true;
  }
  const Coded matrix(x.data, x.type, rows, columns);
  withType(y.type, [&](auto* type) {
    using To = std::remove_pointer_t<decltype(type)>;
    run.pieces(rows, piece, [&](int64_t first, int64_t last) {
      float part[kPart + kLanes];
      for (int64_t n = first; n < last; n++) {
        for (int64_t at = 0; at < columns; at += kPart) {
          const int64_t count = least(kPart, columns - at);
          unpackRow(matrix, matrix.row(n), at, count, false, part);
          To* to = y.as<To>() + n * columns + at;
          for (int64_t i = 0; i < count; i += kLanes) store(to + i, load(part + i), count - i);
        }
      }
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
