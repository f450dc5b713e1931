// Vectors of floats in the width of the instruction set this file is compiled for, with loads and stores from every dtype.
// Everything here lives in the namespace TB_ISA (a compiler flag): each kernel file is compiled once per instruction set.
#pragma once

#include <type_traits>

#include "numeric.h"

#if defined(__x86_64__)
// g++ 12 takes operands that its own intrinsics leave undefined on purpose for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace tunebook::TB_ISA {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Words32 __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));

static inline Floats splat(float value) { return Floats{} + value; }

static inline Floats asFloats(Words32 bits) {
  Floats value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline Words32 asWords(Floats value) {
  Words32 bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline Floats load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// g++ 12 makes several instructions of a __builtin_convertvector that is one.

static inline Words32 loadHalves(const void* p) {
#if defined(__AVX512F__)
  return (Words32)_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
#elif defined(__AVX2__)
  return (Words32)_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
#else
  Halves h;
  std::memcpy(&h, p, sizeof h);
  return __builtin_convertvector(h, Words32);
#endif
}

static inline Floats load(const bf16* p) { return asFloats(loadHalves(p) << 16); }

static inline Floats load(const f16* p) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  Floats v;
  for (int i = 0; i < kLanes; i++) v[i] = widen(p[i]);
  return v;
#endif
}

/**
 * The upper 16 bits of each lane, rounded to nearest even, in the lower half of a word. A NaN stays one.
 * The instruction for it takes numbers below 2^-126 for 0, as bf16 products do; without it they stay.
 */
static inline Words32 roundToBf16(Floats v) {
#if defined(__AVX512BF16__)
  return (Words32)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
  const Words32 bits = asWords(v);
  const Words32 rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return v == v ? rounded : (bits >> 16) | 0x40;
#endif
}

static inline void storeHalves(void* p, Words32 words) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16((__m512i)words));
#elif defined(__AVX2__)
  const __m256i packed = _mm256_packus_epi32((__m256i)words, (__m256i)words);  // each half of the register by itself
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 8)));
#else
  const Halves h = __builtin_convertvector(words, Halves);
  std::memcpy(p, &h, sizeof h);
#endif
}

static inline void store(float* p, Floats v) { std::memcpy(p, &v, sizeof v); }
static inline void store(bf16* p, Floats v) {
#if defined(__AVX512BF16__)
  const __m256bh halves = _mm512_cvtneps_pbh((__m512)v);
  std::memcpy(p, &halves, sizeof halves);
#else
  storeHalves(p, roundToBf16(v));
#endif
}

static inline void store(f16* p, Floats v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int i = 0; i < kLanes; i++) p[i] = toF16(v[i]);
#endif
}

/** As `load` with `left` elements there; the lanes beyond are 0. */
template <class T>
static inline Floats load(const T* p, int64_t left) {
  if (left >= kLanes) return load(p);
  T part[kLanes] = {};
#if defined(__AVX512F__)
  const auto there = static_cast<__mmask16>((1u << left) - 1);
  if (sizeof(T) == 4) return _mm512_maskz_loadu_ps(there, p);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(part), _mm256_maskz_loadu_epi16(there, p));
#else
  std::memcpy(part, p, left * sizeof(T));
#endif
  return load(part);
}

template <class T>
static inline void store(T* p, Floats v, int64_t left) {
  if (left >= kLanes) return store(p, v);
  T part[kLanes];
  store(part, v);
#if defined(__AVX512F__)
  const auto there = static_cast<__mmask16>((1u << left) - 1);
  if (sizeof(T) == 4) _mm512_mask_storeu_ps(p, there, v);
  else _mm256_mask_storeu_epi16(p, there, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(part)));
#else
  std::memcpy(p, part, left * sizeof(T));
#endif
}

/** How many elements are there, where all lanes are: known to the compiler, so that `load` and `store` need not ask. */
using AllLanes = std::integral_constant<int64_t, kLanes>;

/** body(i, left) for every vector of the elements from .. to - 1. */
template <class Body>
static inline void eachVector(int64_t from, int64_t to, const Body& body) {
  int64_t i = from;
  for (; i + kLanes <= to; i += kLanes) body(i, AllLanes{});
  if (i < to) body(i, to - i);
}

/** The sum of the lanes, in halves: those of the upper half are added to the lower ones, in this order everywhere. */
static inline float sum(Floats v) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
  const __m256 eight = _mm512_castps512_ps256(v) + _mm512_extractf32x8_ps(v, 1);
#else
  const __m256 eight = v;
#endif
  const __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return two[0] + two[1];
#else
  float part[kLanes];
  store(part, v);
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; i++) part[i] += part[i + half];
  }
  return part[0];
#endif
}

/** The sum of term(i, left) over the vectors of 0 .. count - 1: every fourth in one sum, then those four, then their lanes. */
template <class Term>
static inline float sumOver(int64_t count, const Term& term) {
  Floats sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) sums[j] += term(i + j * kLanes, AllLanes{});
  }
  eachVector(i, count, [&](int64_t at, auto left) { sums[0] += term(at, left); });
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static inline float largest(Floats v) {
  float part[kLanes];
  store(part, v);
  for (int64_t i = 1; i < kLanes; i++) part[0] = part[i] > part[0] ? part[i] : part[0];
  return part[0];
}

static inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

static inline Floats squareRoot(Floats v) {
#if defined(__AVX512F__)
  return _mm512_sqrt_ps(v);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(v);
#else
  for (int i = 0; i < kLanes; i++) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

/**
 * e^x within 2 units in the last place for x in [-87.3, 88.3]; 0 below, infinity above, NaN stays NaN.
 * x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7, 2^n by its exponent bits.
 */
static inline Floats exponential(Floats x) {
  const Floats low = splat(-87.3365f), high = splat(88.3762f);
  const Floats within = x < low ? low : (x > high ? high : x);
  // Adding 1.5 * 2^23 rounds to a whole number in the last bits.
  const Floats shifted = within * 1.44269504f + 12582912.0f;
  const Floats n = shifted - 12582912.0f;
  const Floats r = (within - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = splat(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Words32 exponent = (asWords(shifted) + 127) << 23;
  const Floats result = p * asFloats(exponent);
  const Floats bounded = x < low ? Floats{} : (x > high ? splat(__builtin_inff()) : result);
  return x == x ? bounded : x;
}

/**
 * 2^x within 2 units in the last place for x in [-126, 127]; 2^-126 below, not defined above, NaN stays NaN. For softmax: no tail to care for.
 * x = n + r with |r| <= 1/2; 2^r by the polynomial of degree 5 that is best in relative error and exact at 0, n added to the exponent bits.
 */
static inline Floats powerOfTwo(Floats x) {
  const Floats low = splat(-126.0f);
  const Floats bounded = low > x ? low : x;
  // Adding 1.5 * 2^23 rounds to a whole number in the last bits.
  const Floats shifted = bounded + 12582912.0f;
  const Floats r = bounded - (shifted - 12582912.0f);
  Floats p = splat(0.00132647261f);
  p = p * r + 0.00967151299f;
  p = p * r + 0.0555073358f;
  p = p * r + 0.240222424f;
  p = p * r + 0.693147004f;
  p = p * r + 1.0f;
  return asFloats(asWords(p) + (asWords(shifted) << 23));
}

/** Calls body with a pointer of the operand's own type, so that kernels are written once for every dtype. */
template <class Body>
static inline void withType(DType type, const Body& body) {
  if (type == DType::f32) body(static_cast<float*>(nullptr));
  else if (type == DType::bf16) body(static_cast<bf16*>(nullptr));
  else body(static_cast<f16*>(nullptr));
}

/** As withType, for activations. */
template <class Body>
static inline void withAct(DType type, const Body& body) {
  withType(type, body);
}

}  // namespace tunebook::TB_ISA
