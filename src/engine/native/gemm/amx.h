// Products of bf16 in the processor's tiles (AMX): 32 rows by 32 columns, sums in four tiles. Next to read: product.cpp.
//
// A tile instruction takes two pairs of bf16 at a time and adds them to an f32 sum in an order of its own, rounding to nearest even
// whatever the mode; inputs and sums below 2^-126 count as 0. No element depends on where in a tile it is made.
#pragma once

#include "tile.h"

#if defined(__AMX_BF16__)

namespace tunebook::TB_ISA {

// The intrinsics write these numbers into the instruction: they are macros of the compiler, which take no constants by name.
// Tiles 0 to 3 are the sums (0 1 above 2 3), 4 and 5 the rows, 6 and 7 the columns.

/** This thread's tiles are configured while it lives: 16 rows of 64 bytes each. Afterwards there is no state to be saved. */
class TilesHeld {
 public:
  TilesHeld() {
    struct alignas(64) Config {
      uint8_t palette, startRow, reserved[14];
      uint16_t bytesPerRow[16];
      uint8_t rows[16];
    };
    static_assert(sizeof(Config) == 64, "as the processor reads it");
    // Constant, because g++ 12 thinks that the instruction reads only the first 8 bytes.
    static const Config config = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&config);
  }
  ~TilesHeld() { _tile_release(); }
  TilesHeld(const TilesHeld&) = delete;
  TilesHeld& operator=(const TilesHeld&) = delete;
};

/** Products of pairs in tiles of 16 x 16: R by C of them at once, each 1 or 2. As multiplyTile of tile.h. */
template <int R, int C>
static void multiplyTiles(int64_t steps, const uint32_t* a, const uint32_t* b, float* c, int64_t stride, float beta) {
  const int64_t apart = stride * 4;
  if (beta != 0 && beta != 1) {
    for (int64_t i = 0; i < 16 * R; i++) {
      for (int64_t j = 0; j < 16 * C; j += kLanes) store(c + i * stride + j, load(c + i * stride + j) * beta);
    }
  }
  // The intrinsics do not tell g++ 12 that they read memory: whatever was packed must be there.
  asm volatile("" ::: "memory");
  if (beta == 0) {
    _tile_zero(0);
    if constexpr (C > 1) _tile_zero(1);
    if constexpr (R > 1) _tile_zero(2);
    if constexpr (R > 1 && C > 1) _tile_zero(3);
  } else {
    _tile_loadd(0, c, apart);
    if constexpr (C > 1) _tile_loadd(1, c + 16, apart);
    if constexpr (R > 1) _tile_loadd(2, c + 16 * stride, apart);
    if constexpr (R > 1 && C > 1) _tile_loadd(3, c + 16 * stride + 16, apart);
  }
  const float* next = c + 16 * R * stride;
  for (int64_t s = 0; s < steps; s += 16, a += 16 * 32, b += 16 * 32, next += 2 * stride) {
    // The sums of the rows below come next, out of the second-level cache.
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) __builtin_prefetch(next + i / 2 * stride + i % 2 * 16, 1);
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 128);
    if constexpr (C > 1) _tile_loadd(7, b + 16, 128);
    if constexpr (R > 1) _tile_loadd(5, a + 16 * 16, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (C > 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (R > 1) _tile_dpbf16ps(2, 5, 6);
    if constexpr (R > 1 && C > 1) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, apart);
  if constexpr (C > 1) _tile_stored(1, c + 16, apart);
  if constexpr (R > 1) _tile_stored(2, c + 16 * stride, apart);
  if constexpr (R > 1 && C > 1) _tile_stored(3, c + 16 * stride + 16, apart);
}

/** What product.cpp multiplies with. A panel of rows holds, for each 16 steps, two squares [16 rows][16 steps] of pairs. */
struct Tiles {
  static constexpr int64_t kPerStep = Pairs::kPerStep;
  static constexpr int64_t kRows = 32, kColumns = 32, kBlock = kTiledBlockRows, kWholeSteps = 16;
  static constexpr int64_t kFewestPanels = 2;
  using Held = TilesHeld;
  static_assert(kRows == kTileSide && kColumns <= kTileCols && kLanes == 16, "workspace.h counts on it");

  template <class T>
  static void packRowsAs(const Factor& factor, int64_t first, int64_t count, int64_t from, int64_t to, uint32_t* panel) {
    const T* data = reinterpret_cast<const T*>(factor.data);
    for (int64_t k = from; k < to; k += 32) {
      const int64_t left = to - k;
      for (int64_t half = 0; half < kRows; half += 16, panel += 16 * 16) {
        const int64_t there = least(16, count - half);
        Words32 square[16] = {};
        if (!factor.turned) {
          for (int64_t i = 0; i < there; i++) square[i] = Pairs::along(data + factor.rowAt(first + half + i) + k, left, factor.round);
        } else if (there > 0) {
          const T* row = data + first + half;
          for (int64_t s = 0; s < 16 && 2 * s < left; s++) {
            const T* two = 2 * s + 1 < left ? row + factor.rowAt(k + 2 * s + 1) : nullptr;
            square[s] = Pairs::across(row + factor.rowAt(k + 2 * s), two, there, factor.round);
          }
          transpose(square);
        }
        std::memcpy(panel, square, sizeof square);
      }
    }
  }

  static void packRows(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* panel) {
    withType(factor.type, [&](auto* type) { packRowsAs<std::remove_pointer_t<decltype(type)>>(factor, first, count, k0, k1, panel); });
  }

  static void packColumns(const Factor& factor, int64_t first, int64_t count, int64_t k0, int64_t k1, uint32_t* panel) {
    if (isQuantized(factor.type)) packQuantized<Pairs, kColumns>(factor, first, count, k0, k1, panel);
    else pack<Pairs, kColumns>(factor, first, count, k0, k1, panel);
    const int64_t steps = divideUp(k1 - k0, kPerStep);
    std::memset(panel + steps * kColumns, 0, static_cast<size_t>(roundUp(steps, kWholeSteps) - steps) * kColumns * 4);
  }

  static void multiply(int64_t rows, int64_t columns, int64_t steps, const uint32_t* a, const uint32_t* b, float* c, int64_t stride,
                       float beta) {
    if (rows > 16) {
      if (columns > 16) multiplyTiles<2, 2>(steps, a, b, c, stride, beta);
      else multiplyTiles<2, 1>(steps, a, b, c, stride, beta);
    } else if (columns > 16) {
      multiplyTiles<1, 2>(steps, a, b, c, stride, beta);
    } else {
      multiplyTiles<1, 1>(steps, a, b, c, stride, beta);
    }
  }
};

}  // namespace tunebook::TB_ISA

#endif
