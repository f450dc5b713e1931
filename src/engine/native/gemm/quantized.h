// Reading quantised matrices: numbers of a stored row in registers, and from there into the panels of a product.
// How their bytes lie: ../quantized.h. Next to read: dot.h, where few rows are multiplied by them.
#pragma once

#include "../program.h"
#include "pack.h"

namespace tunebook::TB_ISA {

/** One stored row of a quantised matrix. */
struct CodedRow {
  const uint8_t* codes;
  const uint8_t* factors;
  float scale;
};

/** Finds the rows of a matrix [rows, columns]. */
struct Coded {
  const uint8_t* data;
  DType type;
  QuantizedLayout layout;

  Coded(const char* bytes, DType dtype, int64_t rows, int64_t columns)
      : data(reinterpret_cast<const uint8_t*>(bytes)), type(dtype), layout(quantizedLayout(dtype, rows, columns)) {}

  CodedRow row(int64_t n) const {
    float scale;
    std::memcpy(&scale, data + layout.scales + 4 * n, 4);
    return {data + n * layout.rowBytes, data + layout.factors + n * layout.groups, scale};
  }
};

/** What the 16 codes of a group stand for. */
struct Palette {
  Floats of[16 / kLanes];

  Palette(DType type, float scale, bool round) {
    const float* levels = type == DType::nf4 ? kNormalLevels : kWholeLevels;
    for (int64_t i = 0; i < 16 / kLanes; i++) {
      of[i] = load(levels + i * kLanes) * scale;
      if (round) of[i] = asFloats(roundToBf16(of[i]) << 16);
    }
  }
  Palette(DType type, const CodedRow& row, int64_t at, bool round) : Palette(type, row.scale * kFactors.of[row.factors[at / kGroup]], round) {}

  /** What the lowest 4 bits of each word stand for. */
  Floats at(Words32 codes) const {
#if defined(__AVX512F__)
    return _mm512_permutexvar_ps((__m512i)codes, of[0]);
#elif defined(__AVX2__)
    const auto index = (__m256i)codes;
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(of[0], index), _mm256_permutevar8x32_ps(of[1], index),
                            _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
#else
    float values[16];
    std::memcpy(values, of, sizeof values);
    Floats v;
    for (int64_t i = 0; i < kLanes; i++) v[i] = values[codes[i] & 15];
    return v;
#endif
  }

  /** kLanes numbers from kLanes / 2 bytes. */
  Floats pick(const uint8_t* codes) const {
#if defined(__AVX512F__)
    const __m512i bytes = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
    return at((Words32)_mm512_or_si512(_mm512_srli_epi64(bytes, 4), _mm512_slli_epi64(bytes, 32)));
#elif defined(__AVX2__)
    int32_t four;
    std::memcpy(&four, codes, 4);
    const __m256i bytes = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
    return at((Words32)_mm256_or_si256(_mm256_srli_epi64(bytes, 4), _mm256_slli_epi64(bytes, 32)));
#else
    float values[16];
    std::memcpy(values, of, sizeof values);
    Floats v;
    for (int64_t i = 0; i < kLanes; i++) v[i] = values[i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15];
    return v;
#endif
  }
};

/** kLanes numbers of i8, without their scale. */
static inline Floats wholeNumbers(const uint8_t* codes) {
#if defined(__AVX512F__)
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes))));
#elif defined(__AVX2__)
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes))));
#else
  Floats v;
  for (int64_t i = 0; i < kLanes; i++) v[i] = static_cast<float>(static_cast<int8_t>(codes[i]));
  return v;
#endif
}

/** The last bytes of a row in a place of their own, so that a whole vector can be read. */
struct LastCodes {
  uint8_t bytes[64] = {};
  LastCodes(const uint8_t* codes, int64_t count) { std::memcpy(bytes, codes, static_cast<size_t>(count)); }
};

static inline Floats roundedIf(bool round, Floats v) { return round ? asFloats(roundToBf16(v) << 16) : v; }

#if defined(__AVX512F__)
#define TB_PAIRS_OF_CODES 1

/** 32 numbers in f32, rounded to bf16. Their own scale makes no number below 2^-126 that matters to a product. */
static inline __m512i halves(Floats low, Floats high) {
#if defined(__AVX512BF16__)
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
#else
  const __m256i a = _mm512_cvtepi32_epi16((__m512i)roundToBf16(low)), b = _mm512_cvtepi32_epi16((__m512i)roundToBf16(high));
  return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
#endif
}

/** What the 16 codes of a group stand for in bf16, twice over. */
struct HalfPalette {
  __m512i of;

  HalfPalette(DType type, const CodedRow& row, int64_t at) {
    const Floats values = Palette(type, row, at, false).of[0];
    of = halves(values, values);
  }
  /** 32 numbers from 16 bytes. */
  __m512i pick(const uint8_t* codes) const {
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
    // Only the lowest 5 bits of an index count, and the fifth makes no difference here.
    return _mm512_permutexvar_epi16(_mm512_or_si512(_mm512_srli_epi32(bytes, 4), _mm512_slli_epi32(bytes, 16)), of);
  }
};

/** 32 numbers of i8. */
static inline __m512i wholeHalves(const uint8_t* codes, float scale) {
  return halves(wholeNumbers(codes) * scale, wholeNumbers(codes + 16) * scale);
}
#endif

/**
 * Numbers `from` to `from + count - 1` of a row; `from` is a multiple of kLanes. Whole vectors are written.
 *
 * @param round - Write f32 numbers rounded to bf16.
 */
[[maybe_unused]] static void unpackRow(const Coded& matrix, const CodedRow& row, int64_t from, int64_t count, bool round, float* out) {
  const int64_t end = from + count;
  if (matrix.type == DType::i8) {
    int64_t at = from;
    for (; at + kLanes <= end; at += kLanes) store(out + at - from, roundedIf(round, wholeNumbers(row.codes + at) * row.scale));
    if (at < end) {
      const LastCodes last(row.codes + at, end - at);
      store(out + at - from, roundedIf(round, wholeNumbers(last.bytes) * row.scale));
    }
    return;
  }
  for (int64_t at = from; at < end;) {
    const Palette palette(matrix.type, row, at, round);
    const int64_t stop = least(end, (at / kGroup + 1) * kGroup);
    for (; at + kLanes <= stop; at += kLanes) store(out + at - from, palette.pick(row.codes + at / 2));
    if (at < stop) {
      const LastCodes last(row.codes + at / 2, divideUp(stop - at, 2));
      store(out + at - from, palette.pick(last.bytes));
    }
    at = stop;
  }
}

/** As above, in bf16; `from` is a multiple of 2 * kLanes. */
[[maybe_unused]] static void unpackRow(const Coded& matrix, const CodedRow& row, int64_t from, int64_t count, bool, bf16* out) {
#if defined(TB_PAIRS_OF_CODES)
  const int64_t end = from + count;
  if (matrix.type == DType::i8) {
    int64_t at = from;
    for (; at + 32 <= end; at += 32) _mm512_storeu_si512(out + at - from, wholeHalves(row.codes + at, row.scale));
    if (at < end) _mm512_storeu_si512(out + at - from, wholeHalves(LastCodes(row.codes + at, end - at).bytes, row.scale));
    return;
  }
  for (int64_t at = from; at < end;) {
    const HalfPalette palette(matrix.type, row, at);
    const int64_t stop = least(end, (at / kGroup + 1) * kGroup);
    for (; at + 32 <= stop; at += 32) _mm512_storeu_si512(out + at - from, palette.pick(row.codes + at / 2));
    if (at < stop) _mm512_storeu_si512(out + at - from, palette.pick(LastCodes(row.codes + at / 2, divideUp(stop - at, 2)).bytes));
    at = stop;
  }
#else
  for (int64_t at = 0; at < count; at += kGroup) {
    float wide[kGroup];
    const int64_t here = least(kGroup, count - at);
    unpackRow(matrix, row, from + at, here, false, wide);
    for (int64_t i = 0; i < here; i += kLanes) store(out + at + i, load(wide + i));
  }
#endif
}

/** As pack, of a quantised factor: a little of it at a time is unpacked, then packed out of the first-level cache. */
template <class Layout, int64_t W>
static void packQuantized(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* out) {
  using Number = std::conditional_t<Layout::kPerStep == 2, bf16, float>;
  constexpr DType type = Layout::kPerStep == 2 ? DType::bf16 : DType::f32;
  const Coded matrix(factor.data, factor.type, factor.storedRows, factor.stride);
  if (!factor.turned) {
    alignas(64) Number part[W * kGroup];
    for (int64_t k = k0; k < k1; k += kGroup, out += kGroup / Layout::kPerStep * W) {
      const int64_t here = least(kGroup, k1 - k);
      for (int64_t i = 0; i < count; i++) {
        unpackRow(matrix, matrix.row(factor.rows ? factor.rows[first + i] : first + i), k, here, factor.round, part + i * kGroup);
      }
      pack<Layout, W>({reinterpret_cast<const char*>(part), type, kGroup}, 0, count, 0, here, out);
    }
    return;
  }
  constexpr int64_t kRows = 32, kWide = (W + 31) / 32 * 32;
  alignas(64) Number part[kRows * kWide];
  for (int64_t k = k0; k < k1; k += kRows, out += kRows / Layout::kPerStep * W) {
    const int64_t here = least(kRows, k1 - k);
    for (int64_t j = 0; j < here; j++) {
      const int64_t row = factor.rows ? factor.rows[k + j] : k + j;
      if (k + j + kRows / 2 < k1) {
        // Rows lie far apart, so that the processor does not guess the next one.
        const int64_t later = factor.rows ? factor.rows[k + j + kRows / 2] : k + j + kRows / 2;
        __builtin_prefetch(matrix.row(later).codes + (matrix.type == DType::i8 ? first : first / 2));
      }
      unpackRow(matrix, matrix.row(row), first, count, factor.round, part + j * kWide);
    }
    pack<Layout, W>({reinterpret_cast<const char*>(part), type, kWide, true}, 0, count, 0, here, out);
  }
}

}  // namespace tunebook::TB_ISA
