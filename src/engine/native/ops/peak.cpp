// The most this machine can do: multiply-adds on registers only. What test/bench/gemm.ts compares the products with.

#include "../gemm/tile.h"
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

double peak(bool pairs) { return pairs ? spin<Products>() : spin<Singles>(); }

}  // namespace tunebook::TB_ISA
