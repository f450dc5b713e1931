// The most this machine can do: multiply-adds on registers only. What test/bench/gemm.ts compares the products with.

#include "../gemm/amx.h"
#include "kernels.h"

namespace tunebook::TB_ISA {

template <class Layout>
static double spin() {
  constexpr int kSums = 12, kRounds = 200000;
  Floats sums[kSums];
  Words32 a = {};
  const Words32 b = {};
#pragma GCC unroll 12
  for (int i = 0; i < kSums; i++) sums[i] = Floats{};
  for (int round = 0; round < kRounds; round++) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; i++) {
      // The compiler must neither know that it multiplies zeros nor make one product for all sums.
#if defined(__x86_64__)
      asm volatile("" : "+v"(a));
#else
      asm volatile("" : "+w"(a));
#endif
      multiplyAdd(Layout{}, sums[i], a, b);
    }
  }
  Floats all = {};
#pragma GCC unroll 12
  for (int i = 0; i < kSums; i++) all += sums[i];
  const double flop = 2.0 * kSums * kRounds * kLanes * Layout::kPerStep;
  return sum(all) == 0 ? flop : flop + 1;
}

#if defined(__AMX_BF16__)

static double spinTiles() {
  constexpr int kRounds = 50000;
  const TilesHeld held;
  for (int round = 0; round < kRounds; round++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return 2.0 * 4 * 16 * 16 * 32 * kRounds;
}

double peak(bool pairs) { return pairs ? spinTiles() : spin<Singles>(); }

#else

double peak(bool pairs) { return pairs ? spin<Products>() : spin<Singles>(); }

#endif

}  // namespace tunebook::TB_ISA
