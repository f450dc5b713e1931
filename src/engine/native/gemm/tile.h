// The innermost product: kTileR rows by two vectors of columns, sums in registers over all steps of two panels.
#pragma once

#include "../workspace.h"
#include "quantized.h"

namespace tunebook::TB_ISA {

#if defined(__AVX512F__)
constexpr int64_t kTileR = 12;  // 24 sums, 2 columns and 1 row of 32 registers
#else
constexpr int64_t kTileR = 6;  // 12 sums, 2 columns and 1 row of 16 registers
#endif
constexpr int64_t kTileC = 2 * kLanes;
static_assert(kTileRows % kTileR == 0 && kTileCols % kTileC == 0, "workspace.h counts on it");

static inline void multiplyAdd(Singles, Floats& sum, Words32 a, Words32 b) { sum += asFloats(a) * asFloats(b); }

#if defined(__AVX512BF16__)
using Products = Pairs;  // what bf16 activations are multiplied as
static inline void multiplyAdd(Pairs, Floats& sum, Words32 a, Words32 b) {
  sum = _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#else
using Products = Singles;
#endif

/** c = beta * c + a b over `steps` steps; with beta 0, c is not read.   c: R rows, `stride` apart, V vectors wide. */
template <class Layout, int R, int V>
static void multiplyTile(int64_t steps, const uint32_t* a, const uint32_t* b, float* c, int64_t stride, float beta) {
  Floats sums[R][V];
#pragma GCC unroll 12
  for (int i = 0; i < R; i++) {
#pragma GCC unroll 2
    for (int j = 0; j < V; j++) sums[i][j] = Floats{};
  }
  for (int64_t s = 0; s < steps; s++, a += kTileR, b += kTileC) {
    Words32 columns[V];
#pragma GCC unroll 2
    for (int j = 0; j < V; j++) std::memcpy(&columns[j], b + j * kLanes, sizeof columns[j]);
#pragma GCC unroll 12
    for (int i = 0; i < R; i++) {
      const Words32 row = Words32{} + a[i];
#pragma GCC unroll 2
      for (int j = 0; j < V; j++) multiplyAdd(Layout{}, sums[i][j], row, columns[j]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < R; i++) {
#pragma GCC unroll 2
    for (int j = 0; j < V; j++) {
      float* place = c + i * stride + j * kLanes;
      store(place, beta == 0 ? sums[i][j] : sums[i][j] + beta * load(place));
    }
  }
}

/** As multiplyTile, for a number of rows (1 to kTileR) and columns (1 to kTileC) known only now. */
template <class Layout>
static void multiplyTile(int64_t rows, int64_t columns, int64_t steps, const uint32_t* a, const uint32_t* b, float* c,
                         int64_t stride, float beta) {
  using Tile = void (*)(int64_t, const uint32_t*, const uint32_t*, float*, int64_t, float);
  static constexpr Tile tiles[kTileR][2] = {
      {multiplyTile<Layout, 1, 1>, multiplyTile<Layout, 1, 2>},   {multiplyTile<Layout, 2, 1>, multiplyTile<Layout, 2, 2>},
      {multiplyTile<Layout, 3, 1>, multiplyTile<Layout, 3, 2>},   {multiplyTile<Layout, 4, 1>, multiplyTile<Layout, 4, 2>},
      {multiplyTile<Layout, 5, 1>, multiplyTile<Layout, 5, 2>},   {multiplyTile<Layout, 6, 1>, multiplyTile<Layout, 6, 2>},
#if defined(__AVX512F__)
      {multiplyTile<Layout, 7, 1>, multiplyTile<Layout, 7, 2>},   {multiplyTile<Layout, 8, 1>, multiplyTile<Layout, 8, 2>},
      {multiplyTile<Layout, 9, 1>, multiplyTile<Layout, 9, 2>},   {multiplyTile<Layout, 10, 1>, multiplyTile<Layout, 10, 2>},
      {multiplyTile<Layout, 11, 1>, multiplyTile<Layout, 11, 2>}, {multiplyTile<Layout, 12, 1>, multiplyTile<Layout, 12, 2>},
#endif
  };
  tiles[rows - 1][columns > kLanes](steps, a, b, c, stride, beta);
}

/** Needs no preparation of the thread. */
struct NothingHeld {
  NothingHeld() {}
};

/** What product.cpp multiplies with: the tile above, for one layout of its panels. */
template <class Layout>
struct Vectors {
  static constexpr int64_t kPerStep = Layout::kPerStep;
  static constexpr int64_t kRows = kTileR, kColumns = kTileC, kBlock = kBlockRows;
  /** Steps of a panel are rounded up to a multiple of this. */
  static constexpr int64_t kWholeSteps = 1;
  /** Row panels that are worth packing the columns once more. */
  static constexpr int64_t kFewestPanels = 4;
  /** Lives while a thread multiplies. */
  using Held = NothingHeld;

  static void packRows(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* panel) {
    pack<Layout, kRows>(factor, first, count, k0, k1, panel);
  }
  static void packColumns(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* panel) {
    if (isQuantized(factor.type)) packQuantized<Layout, kColumns>(factor, first, count, k0, k1, panel);
    else pack<Layout, kColumns>(factor, first, count, k0, k1, panel);
  }
  static void multiply(int64_t rows, int64_t columns, int64_t steps, const uint32_t* a, const uint32_t* b, float* c, int64_t stride,
                       float beta) {
    multiplyTile<Layout>(rows, columns, steps, a, b, c, stride, beta);
  }
};

}  // namespace tunebook::TB_ISA
