// Few rows by a quantised matrix, as in generation: every code is read once, a few rows of the matrix at a time, and multiplied where it
// is unpacked. Numbers of the matrix are those of quantized.ts in f32, whatever x is. How codes become numbers: quantized.h.
#pragma once

#include "../workspace.h"
#include "quantized.h"

namespace tunebook::TB_ISA {

/** Codes of 4 bits in a vector: 8 in each word. */
constexpr int64_t kCodesAtOnce = 8 * kLanes;
static_assert(kFewStep % kCodesAtOnce == 0, "a row of x is whole vectors of codes");

/** Rows of the matrix that are read side by side: numbers of x are loaded once for all of them, and their sums stay in registers. */
constexpr int64_t kSideBySide = 4;

/** Sums of one row of the matrix. */
using FewSums = float[kFewRows];

/**
 * One row of x, widened and filled up with zeros to `stride`, in the order in which codes of 4 bits are unpacked: in each kCodesAtOnce
 * numbers, vector j holds those whose codes are bits 4j .. 4j + 3 of the words. A byte's upper half is the number of even place.
 */
[[maybe_unused]] static void orderForCodes(float* x, int64_t stride) {
  for (int64_t at = 0; at < stride; at += kCodesAtOnce) {
    float numbers[kCodesAtOnce];
    std::memcpy(numbers, x + at, sizeof numbers);
    for (int64_t i = 0; i < kLanes; i++) {
      for (int64_t j = 0; j < 8; j++) x[at + j * kLanes + i] = numbers[8 * i + (j ^ 1)];
    }
  }
}

/** A vector of bytes of which only `count` are there; the others are 0. */
static inline Words32 someBytes(const uint8_t* bytes, int64_t count) {
#if defined(__AVX512F__)
  return (Words32)_mm512_maskz_loadu_epi8((1ull << count) - 1, bytes);
#else
  const LastCodes last(bytes, count);
  Words32 words;
  std::memcpy(&words, last.bytes, sizeof words);
  return words;
#endif
}

/** The factors of the groups to which the kCodesAtOnce numbers from `at` on belong. */
static inline Floats factorsAt(const CodedRow& row, int64_t at, [[maybe_unused]] int64_t groups) {
  const int64_t group = at / kGroup;
  const Floats first = splat(kFactors.of[row.factors[group]]);
#if defined(__AVX512F__)
  static_assert(kCodesAtOnce == 2 * kGroup, "half a vector for each group");
  return _mm512_mask_broadcastss_ps(first, 0xff00, _mm_load_ss(kFactors.of + row.factors[least(group + 1, groups - 1)]));
#else
  static_assert(kGroup % kCodesAtOnce == 0, "one group for a vector");
  return first;
#endif
}

/** sums[r][t] = x[t] · row n + r for T rows of x and R rows of a matrix in 4 bits. */
template <int R, int T>
static void dotCodes(const float* x, int64_t stride, int64_t k, const Coded& matrix, int64_t n, FewSums* sums) {
  const Palette levels(matrix.type, 1, false);
  CodedRow rows[R];
  Floats parts[R][T];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
    rows[r] = matrix.row(n + r);
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) parts[r][t] = Floats{};
  }
  const auto step = [&](int64_t at, const auto& read) __attribute__((always_inline)) {
    Words32 codes[R];
    Floats here[R][T];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      codes[r] = read(rows[r].codes + at / 2);
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) here[r][t] = Floats{};
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
      Floats numbers[T];
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) numbers[t] = load(x + t * stride + at + j * kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        const Floats level = levels.at(codes[r] >> (4 * j));
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) here[r][t] += numbers[t] * level;
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const Floats factors = factorsAt(rows[r], at, matrix.layout.groups);
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) parts[r][t] += here[r][t] * factors;
    }
  };
  int64_t at = 0;
  for (; at + kCodesAtOnce <= k; at += kCodesAtOnce) {
    step(at, [&](const uint8_t* codes) {
      // Several rows of a matrix in one page are more than the processor follows by itself.
      __builtin_prefetch(codes + R * matrix.layout.rowBytes);
      Words32 words;
      std::memcpy(&words, codes, sizeof words);
      return words;
    });
  }
  if (at < k) step(at, [&](const uint8_t* codes) { return someBytes(codes, divideUp(k - at, 2)); });
  for (int r = 0; r < R; r++) {
    for (int t = 0; t < T; t++) sums[r][t] = sum(parts[r][t]) * rows[r].scale;
  }
}

/** As above, of a matrix in 8 bits. */
template <int R, int T>
static void dotWholes(const float* x, int64_t stride, int64_t k, const Coded& matrix, int64_t n, FewSums* sums) {
  CodedRow rows[R];
  Floats parts[R][T];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
    rows[r] = matrix.row(n + r);
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) parts[r][t] = Floats{};
  }
  const auto step = [&](int64_t at, const auto& read) __attribute__((always_inline)) {
    Floats numbers[T];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) numbers[t] = load(x + t * stride + at);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const Floats whole = read(rows[r].codes + at);
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) parts[r][t] += numbers[t] * whole;
    }
  };
  constexpr int64_t kLine = 64;
  int64_t at = 0;
  for (; at + kLine <= k; at += kLine) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) __builtin_prefetch(rows[r].codes + at + R * matrix.layout.rowBytes);
#pragma GCC unroll 4
    for (int64_t i = 0; i < kLine; i += kLanes) step(at + i, wholeNumbers);
  }
  for (; at + kLanes <= k; at += kLanes) step(at, wholeNumbers);
  if (at < k) step(at, [&](const uint8_t* codes) { return wholeNumbers(LastCodes(codes, k - at).bytes); });
  for (int r = 0; r < R; r++) {
    for (int t = 0; t < T; t++) sums[r][t] = sum(parts[r][t]) * rows[r].scale;
  }
}

/** As above, of any quantised matrix. */
template <int R, int T>
static void dotCoded(const float* x, int64_t stride, int64_t k, const Coded& matrix, int64_t n, FewSums* sums) {
  if (matrix.type == DType::i8) dotWholes<R, T>(x, stride, k, matrix, n, sums);
  else dotCodes<R, T>(x, stride, k, matrix, n, sums);
}

/** As above, of `count` rows of the matrix. */
template <int T>
static void dotCoded(const float* x, int64_t stride, int64_t k, const Coded& matrix, int64_t n, int64_t count, FewSums* sums) {
  // As many rows as there are registers for.
#if defined(__AVX512F__)
  constexpr int kRows = T <= 2 ? 4 : 2;
#else
  constexpr int kRows = T == 1 ? 2 : 1;
#endif
  for (; count >= kRows; count -= kRows, n += kRows, sums += kRows) dotCoded<kRows, T>(x, stride, k, matrix, n, sums);
  for (; count > 0; count--, n++, sums++) dotCoded<1, T>(x, stride, k, matrix, n, sums);
}

/**
 * sums[r][t] = x[t] · row n + r for all rows of x and `count` of the matrix, kSideBySide or fewer.
 *
 * @param x - Rows of `stride` numbers; orderForCodes when the matrix is in 4 bits.
 */
[[maybe_unused]] static void dotQuantized(const float* x, int64_t stride, int64_t rows, const Operand& w, int64_t n, int64_t count, FewSums* sums) {
  const int64_t k = w.shape[1];
  const Coded matrix(w.data, w.type, w.shape[0], k);
  for (int64_t t = 0; t < rows; t += 4, x += 4 * stride) {
    auto* part = reinterpret_cast<FewSums*>(&sums[0][t]);
    switch (rows - t) {
      case 1: dotCoded<1>(x, stride, k, matrix, n, count, part); break;
      case 2: dotCoded<2>(x, stride, k, matrix, n, count, part); break;
      case 3: dotCoded<3>(x, stride, k, matrix, n, count, part); break;
      default: dotCoded<4>(x, stride, k, matrix, n, count, part);
    }
  }
}

}  // namespace tunebook::TB_ISA
