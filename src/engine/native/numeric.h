// Number formats: codes as in dtype.ts, and one number at a time to and from 16 bits. Vectors of them: simd.h.
#pragma once

#include <cstdint>
#include <cstring>

namespace tunebook {

enum class DType : uint32_t { f32 = 0, bf16 = 1, f16 = 2, i32 = 3, i8 = 4, i4 = 5, nf4 = 6 };
constexpr uint32_t kDTypes = 7;

/** Formats of frozen matrices: quantized.h. */
constexpr bool isQuantized(DType type) { return type >= DType::i8; }

/** Bytes of one number, in formats that are not quantised. */
constexpr int64_t bytesOf(DType type) { return type == DType::f32 || type == DType::i32 ? 4 : 2; }

/** The upper half of an f32. */
struct bf16 {
  uint16_t bits;
};

/** IEEE binary16. */
struct f16 {
  uint16_t bits;
};

// Functions in headers are static: kernels are compiled once per instruction set, and the linker must not merge their copies.

static inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

static inline float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

static inline float widen(float value) { return value; }
static inline float widen(bf16 value) { return fromBits(uint32_t{value.bits} << 16); }

static inline float widen(f16 value) {
  const uint32_t sign = (value.bits & 0x8000u) << 16;
  const uint32_t exponent = (value.bits >> 10) & 31, fraction = value.bits & 1023u;
  if (exponent == 31) return fromBits(sign | 0x7f800000u | (fraction << 13));
  if (exponent == 0) {
    const float tiny = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -tiny : tiny;
  }
  return fromBits(sign | ((exponent + 112) << 23) | (fraction << 13));
}

/** Rounded to nearest, ties to even; a NaN stays one. */
static inline bf16 toBf16(float value) {
  const uint32_t bits = bitsOf(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

/** Rounded to nearest, ties to even; a NaN stays one. */
static inline f16 toF16(float value) {
  const uint32_t bits = bitsOf(value), sign = (bits >> 16) & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (size >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (size < 0x38800000u) {
    // Below 2^-14 the step is 2^-24: adding 0.5 lets the f32 adder round there.
    const float shifted = fromBits(size) + 0.5f;
    return {static_cast<uint16_t>(sign | (bitsOf(shifted) - 0x3f000000u))};
  }
  return {static_cast<uint16_t>(sign | ((size - 0x38000000u + 0xfff + ((size >> 13) & 1)) >> 13))};
}

static inline void narrow(float& out, float value) { out = value; }
static inline void narrow(bf16& out, float value) { out = toBf16(value); }
static inline void narrow(f16& out, float value) { out = toF16(value); }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t divideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t roundUp(int64_t a, int64_t b) { return divideUp(a, b) * b; }

}  // namespace tunebook
