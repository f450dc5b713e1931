// Products of blocks small enough for the second-level cache, as attention needs them, and the three ways to lay a block out for them.
//
//     c[i][j] (= or +=) sum over s of a(i, s) · b(s, j)
//
// A word of `a` and of `b` is one step of the sum: one f32 number, or two bf16 numbers (Layout, see ../gemm/pack.h). `b` lies step by
// step, its columns side by side. `a` lies either row by row ("lying") or step by step like `b` ("standing"), so that what one product
// reads as `b` another can read as `a`, and most blocks need no turning around.
#pragma once

#include "../gemm/tile.h"

namespace tunebook::TB_ISA {

/** What numbers of this dtype are multiplied as. */
template <class T>
using LayoutOf = std::conditional_t<std::is_same_v<T, bf16>, Products, Singles>;

/** Tiles have these rows, or one or two thirds of them; what they read and write beyond a block's rows is never used. */
constexpr int64_t kThird = kTileR / 3;

/** A block of words that is read as `a`. */
struct Rows {
  const uint32_t* words;
  int64_t stride;
};

template <class Layout, int R, int V, bool lying>
static void blockTile(int64_t steps, Rows a, const uint32_t* b, int64_t bStride, float* c, int64_t cStride, bool add) {
  Floats sums[R][V];
#pragma GCC unroll 12
  for (int i = 0; i < R; i++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) sums[i][v] = Floats{};
  }
  // Few registers for many rows: every fourth row has its own.
  const uint32_t* rows[3] = {a.words, a.words + 4 * a.stride, a.words + 8 * a.stride};
  for (int64_t s = 0; s < steps; s++, b += bStride) {
    Words32 columns[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) std::memcpy(&columns[v], b + v * kLanes, sizeof columns[v]);
#pragma GCC unroll 12
    for (int i = 0; i < R; i++) {
      const Words32 row = Words32{} + (lying ? rows[i / 4][i % 4 * a.stride] : a.words[i]);
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) multiplyAdd(Layout{}, sums[i][v], row, columns[v]);
    }
    if (lying) {
#pragma GCC unroll 3
      for (int i = 0; i < 3; i++) rows[i]++;
    } else {
      a.words += a.stride;
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < R; i++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      float* place = c + i * cStride + v * kLanes;
      store(place, add ? load(place) + sums[i][v] : sums[i][v]);
    }
  }
}

/** `rows` rows of V vectors of columns; rows up to the next multiple of kThird are read and written too. */
template <class Layout, int V, bool lying>
static void blockProduct(int64_t rows, int64_t steps, Rows a, const uint32_t* b, int64_t bStride, float* c, int64_t cStride, bool add) {
  constexpr int R = kTileR;
  for (int64_t i = 0; i < rows; i += R) {
    const Rows here{a.words + (lying ? i * a.stride : i), a.stride};
    float* place = c + i * cStride;
    if (rows - i > 2 * kThird) blockTile<Layout, R, V, lying>(steps, here, b, bStride, place, cStride, add);
    else if (rows - i > kThird) blockTile<Layout, R / 3 * 2, V, lying>(steps, here, b, bStride, place, cStride, add);
    else blockTile<Layout, R / 3, V, lying>(steps, here, b, bStride, place, cStride, add);
  }
}

template <class Layout>
static constexpr int64_t stepsOf(int64_t numbers) {
  return divideUp(numbers, Layout::kPerStep);
}

// Below, row(i) is where the numbers of row i begin.

/** Row by row, steps along the row: out[i][s].   Up to the next vector, steps are 0. */
template <class Layout, class Row>
static void layDown(int64_t count, int64_t numbers, const Row& row, uint32_t* out, int64_t stride) {
  constexpr int64_t kAtOnce = kLanes * Layout::kPerStep;
  for (int64_t i = 0; i < count; i++) {
    const auto* from = row(i);
    for (int64_t k = 0; k < numbers; k += kAtOnce) {
      const Words32 words = Layout::along(from + k, numbers - k, false);
      std::memcpy(out + i * stride + k / Layout::kPerStep, &words, sizeof words);
    }
  }
}

/** Step by step, steps across the rows: out[s][j] is number j of row s, or of rows 2s and 2s + 1.   Up to the next vector, columns are 0. */
template <class Layout, class Row>
static void layAcross(int64_t count, int64_t numbers, const Row& row, uint32_t* out, int64_t stride) {
  for (int64_t i = 0; i < count; i += Layout::kPerStep, out += stride) {
    const auto* one = row(i);
    const auto* two = Layout::kPerStep == 2 && i + 1 < count ? row(i + 1) : nullptr;
    for (int64_t j = 0; j < numbers; j += kLanes) {
      const Words32 words = Layout::across(one + j, two ? two + j : nullptr, numbers - j, false);
      std::memcpy(out + j, &words, sizeof words);
    }
  }
}

/** Step by step, steps along the rows: out[s][i].   Up to the next vector, rows are 0. */
template <class Layout, class Row>
static void turnAround(int64_t count, int64_t numbers, const Row& row, uint32_t* out, int64_t stride) {
  constexpr int64_t kAtOnce = kLanes * Layout::kPerStep;
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int64_t k = 0; k < numbers; k += kAtOnce) {
      Words32 square[kLanes];
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; j++) square[j] = i + j < count ? Layout::along(row(i + j) + k, numbers - k, false) : Words32{};
      transpose(square);
      const int64_t steps = least(kLanes, stepsOf<Layout>(numbers - k));
      for (int64_t s = 0; s < steps; s++) std::memcpy(out + (k / Layout::kPerStep + s) * stride + i, &square[s], sizeof square[s]);
    }
  }
}

/** Sums that lie [number][row] to rows of an operand, each times times[row]. row(i) is where row i begins. */
template <class Row>
static void turnBack(const float* sums, int64_t stride, int64_t count, int64_t numbers, const float* times, const Row& row) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats factor = load(times + i);
    for (int64_t k = 0; k < numbers; k += kLanes) {
      Words32 square[kLanes];
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; j++) square[j] = k + j < numbers ? asWords(load(sums + (k + j) * stride + i) * factor) : Words32{};
      transpose(square);
      for (int64_t j = 0; j < least(kLanes, count - i); j++) store(row(i + j) + k, asFloats(square[j]), numbers - k);
    }
  }
}

/** A row of `a` as it lies: one panel's numbers for its columns, two vectors of them. */
static inline void storeLying(Singles, uint32_t* out, Floats one, Floats two) {
  store(reinterpret_cast<float*>(out), one);
  store(reinterpret_cast<float*>(out) + kLanes, two);
}

#if defined(__AVX512BF16__)
static inline void storeLying(Pairs, uint32_t* out, Floats one, Floats two) {
  const __m512bh both = _mm512_cvtne2ps_pbh((__m512)two, (__m512)one);
  std::memcpy(out, &both, sizeof both);
}

/** A step of pairs: two rows of one vector of columns, rounded to bf16. */
static inline Words32 pairUp(Floats first, Floats second) {
  const __m512bh both = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
  Words32 order;
  for (uint32_t i = 0; i < kLanes; i++) order[i] = i | (i + kLanes) << 16;
  return (Words32)_mm512_permutexvar_epi16((__m512i)order, (__m512i)both);
}
#endif

}  // namespace tunebook::TB_ISA
