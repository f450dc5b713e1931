// How much scratch each op needs on a GPU, and the choices it follows from: sums of shapes alone, the same for every card, so that
// memory is planned on any machine. The same sums as src/engine/cuda-workspace.ts.
#pragma once

#include "../program.h"

namespace tunebook::cuda {

/** Products with at most so many rows read the matrix once, row by row. */
constexpr int64_t kFewRows = 8;
constexpr int64_t kSquaresBlock = 4096;

inline int64_t aligned(int64_t bytes) { return roundUp(bytes, kAlignment); }

/** How a product [m, n] over stretches of k is cut: the side of its tiles, and into how many parts its sums. */
struct Cut {
  bool large;
  int64_t side, splits;
};
Cut cutOf(int64_t m, int64_t n, int64_t k, int64_t rank, bool half);

inline int64_t partBytes(const Cut& cut, int64_t m, int64_t n) { return cut.splits > 1 ? aligned(4 * cut.splits * m * n) : 0; }

}  // namespace tunebook::cuda
