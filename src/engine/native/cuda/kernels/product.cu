// Matrix products of 16-bit factors on the tensor cores: mma.sync with f32 sums, tiles through a ring of shared memory that asynchronous
// copies keep full. Sums run in one order, whatever the grid; long sums over few results are split in parts that productSum adds in order.

#include "store.h"
#include "tile.h"

namespace tunebook::cuda {
namespace {

/** A block of rows x columns results; `warpsM` x `warpsN` warps share it. */
template <class E, bool turnedA, bool turnedB, int rows, int columns, int warpsM, int warpsN, int stages>
struct Product {
  using A = Tile<E, rows, turnedA>;
  using B = Tile<E, columns, turnedB>;
  static constexpr int kThreadCount = warpsM * warpsN * 32;
  static constexpr int kTilesM = rows / warpsM / 16, kTilesN = columns / warpsN / 8;
  static constexpr int kStageSize = A::kSize + B::kSize;

  const ProductParams& p;
  E* ring;
  int64_t i0, j0, m, k0, k1;
  int steps0, steps1;

  TB_DEVICE void fetch(int step, int slot) {
    const bool second = step >= steps0;
    const Stretch& stretch = p.stretches[second ? 1 : 0];
    const int64_t k = static_cast<int64_t>(second ? step - steps0 : step) * kStepK, sizeK = second ? k1 : k0;
    E* a = ring + slot * kStageSize;
    A::template fetch<kThreadCount>(a, stretch.a, i0, k, m, sizeK);
    B::template fetch<kThreadCount>(a + A::kSize, stretch.b, j0, k, p.n, sizeK);
  }

  TB_DEVICE void run() {
    const int total = steps0 + steps1, parts = p.splits, part = static_cast<int>(blockIdx.z);
    const int each = (total + parts - 1) / parts;
    const int first = part * each, last = static_cast<int>(lesser(total, first + each));
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int wm = warp % warpsM * (rows / warpsM), wn = warp / warpsM * (columns / warpsN);
    float sums[kTilesM][kTilesN][4] = {};
    const auto scale = [&] {
#pragma unroll
      for (auto& row : sums) {
#pragma unroll
        for (auto& sum : row) {
#pragma unroll
          for (float& value : sum) value *= p.stretches[1].before;
        }
      }
    };
#pragma unroll
    for (int s = 0; s < stages - 1; s++) {
      if (first + s < last) fetch(first + s, s);
      closeCopies();
    }
    for (int step = first; step < last; step++) {
      awaitCopies<stages - 2>();
      __syncthreads();
      const int ahead = step + stages - 1;
      if (ahead < last) fetch(ahead, (ahead - first) % stages);
      closeCopies();
      if (p.count == 2 && step == steps0 && step > first) scale();
      const E* a = ring + (step - first) % stages * kStageSize;
      const E* b = a + A::kSize;
#pragma unroll
      for (int k = 0; k < kStepK; k += 16) {
        uint32_t left[kTilesM][4], right[kTilesN / 2][4];
#pragma unroll
        for (int i = 0; i < kTilesM; i++) A::left(left[i], a, wm + 16 * i, k);
#pragma unroll
        for (int j = 0; j < kTilesN / 2; j++) B::right(right[j], b, wn + 16 * j, k);
#pragma unroll
        for (int i = 0; i < kTilesM; i++) {
#pragma unroll
          for (int j = 0; j < kTilesN; j++) {
            multiplyAdd(sums[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1], E{});
          }
        }
      }
    }
    awaitCopies<0>();
    if (p.count == 2 && last <= steps0) scale();
#pragma unroll
    for (int i = 0; i < kTilesM; i++) {
#pragma unroll
      for (int j = 0; j < kTilesN; j++) {
        const int64_t row = i0 + wm + 16 * i + lane / 4, column = j0 + wn + 8 * j + lane % 4 * 2;
        if (row < m) finishPair(p, row, column, sums[i][j][0], sums[i][j][1]);
        if (row + 8 < m) finishPair(p, row + 8, column, sums[i][j][2], sums[i][j][3]);
      }
    }
  }
};

template <class E, bool turnedA, bool turnedB, int rows, int columns, int warpsM, int warpsN, int stages>
TB_DEVICE void multiply(const ProductParams& p) {
  TB_SHARED_BYTES(bytes);
  const Extent extent = extentOf(p, p.stretches[0].k);
  // Blocks next to each other share columns of b: they run at the same time and find them in the second-level cache.
  Product<E, turnedA, turnedB, rows, columns, warpsM, warpsN, stages> product{
      p, reinterpret_cast<E*>(bytes), static_cast<int64_t>(blockIdx.x) * rows, static_cast<int64_t>(blockIdx.y) * columns,
      extent.m, extent.k, p.limits == 2 ? extent.k : p.stretches[1].k, 0, 0};
  if (product.i0 >= extent.m) return;
  product.steps0 = static_cast<int>((extent.k + kStepK - 1) / kStepK);
  product.steps1 = p.count == 2 ? static_cast<int>((product.k1 + kStepK - 1) / kStepK) : 0;
  product.run();
}

}  // namespace

// Names: element type, then how both factors lie: k along the sum, t turned. lower/product.cpp knows the sizes.
#define TB_PRODUCT(type, letters, turnedA, turnedB)                                                             \
  TB_KERNEL(product_##type##_##letters##_large, 256, ProductParams) {                                            \
    multiply<type, turnedA, turnedB, 128, 128, 2, 4, 4>(p);                                                      \
  }                                                                                                             \
  TB_KERNEL(product_##type##_##letters##_small, 128, ProductParams) { multiply<type, turnedA, turnedB, 64, 64, 2, 2, 3>(p); }

TB_PRODUCT(bf16, kk, false, false)
TB_PRODUCT(bf16, kt, false, true)
TB_PRODUCT(bf16, tt, true, true)
TB_PRODUCT(f16, kk, false, false)
TB_PRODUCT(f16, kt, false, true)
TB_PRODUCT(f16, tt, true, true)

}  // namespace tunebook::cuda
