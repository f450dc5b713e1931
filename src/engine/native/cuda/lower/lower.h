// One function per kind of op: from an op to its launches. Called by lower.cpp's table.
#pragma once

#include "../launches.h"
#include "../workspace.h"

namespace tunebook::cuda {

bool linear(const Op& op, Launches& launches);
bool linearInput(const Op& op, Launches& launches);
bool linearWeight(const Op& op, Launches& launches);
bool headLoss(const Op& op, Launches& launches);
bool attention(const Op& op, Launches& launches);
bool attentionBackward(const Op& op, Launches& launches);

constexpr int kBlock = 256;

/** Blocks for elementwise kernels whose threads do eight each and walk on over the grid. */
inline Grid elementGrid(int64_t count) { return {least(divideUp(count, kBlock * 8), 16384)}; }

inline int32_t typeOf(const Operand& operand) { return static_cast<int32_t>(operand.type); }

/** Set n numbers to 0. */
bool clear(Launches& launches, void* place, int64_t bytes);

/** A product without its cut: what multiply adds. */
bool multiply(Launches& launches, ProductParams params, DType act, bool turnedA, bool turnedB, const Cut& cut);

inline Matrix matrixOf(const Operand& operand) {
  return {operand.data, nullptr, operand.shape[1], typeOf(operand), operand.shape[1] % 8 == 0};
}

/** A product with neutral settings: alpha 1, =, no bias, no limit. */
inline ProductParams neutralProduct() {
  ProductParams params = {};
  params.count = 1;
  params.alpha = 1;
  params.splits = 1;
  return params;
}

}  // namespace tunebook::cuda
