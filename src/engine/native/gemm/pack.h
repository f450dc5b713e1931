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
    bf16 part[kLanes] = {};
    if (left > 0) std::memcpy(part, p, left * sizeof(bf16));
    return loadHalves(part);
  }
  template <class T>
  static Words32 half(const T* p, int64_t left) {
    return left > 0 ? roundToBf16(load(p, left)) : Words32{};
  }

  static Words32 along(const bf16* p, int64_t left, bool) {
    Words32 v = {};
    if (left >= 2 * kLanes) std::memcpy(&v, p, sizeof v);
    else std::memcpy(&v, p, left * sizeof(bf16));
    return v;
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

template <class Layout, class T, int64_t W>
static void packAlong(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* out) {
  const T* data = reinterpret_cast<const T*>(factor.data);
  const int64_t steps = divideUp(k1 - k0, Layout::kPerStep);
  for (int64_t i0 = 0; i0 < W; i0 += kLanes) {
    const int64_t width = least(kLanes, W - i0);
    const T* rows[kLanes];
    for (int64_t i = 0; i < kLanes; i++) rows[i] = i0 + i < count && i < width ? data + factor.rowAt(first + i0 + i) + k0 : nullptr;
    for (int64_t s = 0; s < steps; s += kLanes) {
      const int64_t k = s * Layout::kPerStep, left = k1 - k0 - k;
      Words32 square[kLanes];
      for (int64_t i = 0; i < kLanes; i++) square[i] = rows[i] ? Layout::along(rows[i] + k, left, factor.round) : Words32{};
      transpose(square);
      const int64_t here = least(kLanes, steps - s);
      for (int64_t c = 0; c < here; c++) storeWords(out + (s + c) * W + i0, square[c], width);
    }
  }
}

template <class Layout, class T, int64_t W>
static void packAcross(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* out) {
  const T* data = reinterpret_cast<const T*>(factor.data) + first;
  for (int64_t k = k0; k < k1; k += Layout::kPerStep, out += W) {
    const T* one = data + factor.rowAt(k);
    const T* two = Layout::kPerStep == 2 && k + 1 < k1 ? data + factor.rowAt(k + 1) : nullptr;
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
