// Panels: a few rows (or columns) of a matrix laid out step by step, as the tile of the product reads them. Next to read: tile.h.
//
// A panel of width W holds, for each step s, W words: word i is the number at (i, s), or in panels of pairs the two bf16 numbers at
// (i, 2s) and (i, 2s + 1), the first in the lower half. What lies outside the matrix is 0.
#pragma once

#include "transpose.h"

namespace tunebook::TB_ISA {

/** One factor of a product as it lies in memory. Element (i, k), with k running along the sums: */
struct Factor {
  const char* data = nullptr;
  DType type = DType::f32;
  /** Elements from one stored row to the next. */
  int64_t stride = 0;
  /** False: stored row i holds element k.  True: stored row k holds element i. */
  bool turned = false;
  /** When given, stored row j is rows[j] of the matrix. */
  const int32_t* rows = nullptr;
  /** In panels of f32: round f32 and f16 numbers to bf16 on their way, because the other factor is bf16. */
  bool round = false;
  /** Stored rows in all, behind whose codes the scales lie. Only a quantised matrix needs it. */
  int64_t storedRows = 0;

  int64_t rowAt(int64_t j) const { return (rows ? rows[j] : j) * stride; }
};

/** Panels of f32, one number a step. */
struct Singles {
  static constexpr int64_t kPerStep = 1;

  /** kLanes steps of one stored row, of which `left` numbers are there. */
  template <class T>
  static Words32 along(const T* p, int64_t left, bool round) {
    const Floats v = load(p, left);
    return round ? roundToBf16(v) << 16 : asWords(v);
  }
  static Words32 along(const bf16* p, int64_t left, bool) { return asWords(load(p, left)); }

  /** One step of kLanes columns, from one stored row. */
  template <class T>
  static Words32 across(const T* p, const T*, int64_t left, bool round) {
    return along(p, left, round);
  }
};

/** Panels of bf16, two numbers a step. */
struct Pairs {
  static constexpr int64_t kPerStep = 2;

  static Words32 half(const bf16* p, int64_t left) {
    if (left >= kLanes) return loadHalves(p);
#if defined(__AVX512F__)
    const auto there = static_cast<__mmask16>((1u << most(left, 0)) - 1);
    return (Words32)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, p));
#else
    bf16 part[kLanes] = {};
    if (left > 0) std::memcpy(part, p, left * sizeof(bf16));
    return loadHalves(part);
#endif
  }
  template <class T>
  static Words32 half(const T* p, int64_t left) {
    return left > 0 ? roundToBf16(load(p, left)) : Words32{};
  }

  static Words32 along(const bf16* p, int64_t left, bool) {
    Words32 v = {};
    if (left >= 2 * kLanes) {
      std::memcpy(&v, p, sizeof v);
      return v;
    }
#if defined(__AVX512F__)
    return (Words32)_mm512_maskz_loadu_epi16((1u << left) - 1, p);
#else
    std::memcpy(&v, p, left * sizeof(bf16));
    return v;
#endif
  }
  template <class T>
  static Words32 along(const T* p, int64_t left, bool) {
    bf16 part[2 * kLanes];
    storeHalves(part, half(p, left));
    storeHalves(part + kLanes, half(p + kLanes, left - kLanes));
    return along(part, 2 * kLanes, false);
  }

  template <class T>
  static Words32 across(const T* first, const T* second, int64_t left, bool) {
    return half(first, left) | (second ? half(second, left) << 16 : Words32{});
  }
};

static inline void storeWords(uint32_t* p, Words32 v, int64_t count) {
  if (count >= kLanes) {
    std::memcpy(p, &v, sizeof v);
    return;
  }
#if defined(__AVX512F__)
  _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << count) - 1), (__m512i)v);
#else
  std::memcpy(p, &v, count * 4);
#endif
}

/** A square of kLanes steps of R rows that are all there, turned around. */
template <class Layout, class T, int64_t W, int R>
static inline void packSquare(const T* const* rows, int64_t k, bool round, uint32_t* out) {
  Words32 square[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) square[i] = i < R ? Layout::along(rows[i < R ? i : 0] + k, kLanes * Layout::kPerStep, round) : Words32{};
  transpose(square);
#pragma GCC unroll 16
  for (int c = 0; c < kLanes; c++) storeWords(out + c * W, square[c], R);
}

/** As packSquare, where rows or steps are missing. */
template <class Layout, class T, int64_t W>
static void packEdge(const T* const* rows, int64_t count, int64_t k, int64_t left, bool round, int64_t width, uint32_t* out) {
  Words32 square[kLanes] = {};
  for (int64_t i = 0; i < count; i++) square[i] = Layout::along(rows[i] + k, left, round);
  transpose(square);
  const int64_t steps = least(kLanes, divideUp(left, Layout::kPerStep));
  for (int64_t c = 0; c < steps; c++) storeWords(out + c * W, square[c], width);
}

/** The first I rows of a panel from i0 on, I at most kLanes. */
template <class Layout, class T, int64_t W, int I>
static void packRowsAlong(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* out) {
  const T* rows[I];
  const int64_t there = least(I, count);
  for (int64_t i = 0; i < there; i++) rows[i] = reinterpret_cast<const T*>(factor.data) + factor.rowAt(first + i) + k0;
  constexpr int64_t kAtOnce = kLanes * Layout::kPerStep;
  for (int64_t k = 0; k < k1 - k0; k += kAtOnce, out += kLanes * W) {
    const int64_t left = k1 - k0 - k;
    if (there == I && left >= kAtOnce) packSquare<Layout, T, W, I>(rows, k, factor.round, out);
    else packEdge<Layout, T, W>(rows, there, k, left, factor.round, I, out);
  }
}

template <class Layout, class T, int64_t W>
static void packAlong(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* out) {
  constexpr int64_t kRest = W % kLanes;
  for (int64_t i = 0; i + kLanes <= W; i += kLanes) {
    packRowsAlong<Layout, T, W, kLanes>(factor, first + i, count - i, k0, k1, out + i);
  }
  if constexpr (kRest > 0) packRowsAlong<Layout, T, W, kRest>(factor, first + W - kRest, count - W + kRest, k0, k1, out + W - kRest);
}

template <class Layout, class T, int64_t W>
static void packAcross(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* out) {
  /** Rows lie far apart, so that the processor does not guess the next one. */
  constexpr int64_t kAhead = 8 * Layout::kPerStep;
  const T* data = reinterpret_cast<const T*>(factor.data) + first;
  for (int64_t k = k0; k < k1; k += Layout::kPerStep, out += W) {
    const T* one = data + factor.rowAt(k);
    const T* two = Layout::kPerStep == 2 && k + 1 < k1 ? data + factor.rowAt(k + 1) : nullptr;
    if (k + kAhead < k1) {
      const T* later = data + factor.rowAt(k + kAhead);
      __builtin_prefetch(later);
      __builtin_prefetch(reinterpret_cast<const char*>(later + W) - 1);
      if (Layout::kPerStep == 2) __builtin_prefetch(later + factor.stride);
    }
    if (count == W) {
#pragma GCC unroll 4
      for (int64_t i = 0; i + kLanes <= W; i += kLanes) {
        storeWords(out + i, Layout::across(one + i, two ? two + i : nullptr, kLanes, factor.round), kLanes);
      }
      if constexpr (W % kLanes > 0) {
        constexpr int64_t i = W - W % kLanes;
        storeWords(out + i, Layout::across(one + i, two ? two + i : nullptr, W - i, factor.round), W - i);
      }
      continue;
    }
    for (int64_t i = 0; i < W; i += kLanes) {
      const Words32 v = i < count ? Layout::across(one + i, two ? two + i : nullptr, count - i, factor.round) : Words32{};
      storeWords(out + i, v, W - i);
    }
  }
}

/** Pack elements (first .. first + count - 1, k0 .. k1 - 1), count at most W, into `out`: W words per step. */
template <class Layout, int64_t W>
static void pack(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* out) {
  withType(factor.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (factor.turned) packAcross<Layout, T, W>(factor, first, count, k0, k1, out);
    else packAlong<Layout, T, W>(factor, first, count, k0, k1, out);
  });
}

}  // namespace tunebook::TB_ISA
