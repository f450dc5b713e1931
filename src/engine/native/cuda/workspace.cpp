// Scratch per op. Change it together with cuda-workspace.ts: a test compiles every op with exactly these bytes, and with one less.

#include "workspace.h"

#include "../workspace.h"

namespace tunebook {
namespace cuda {

Cut cutOf(int64_t m, int64_t n, int64_t k, int64_t rank, bool half) {
  constexpr int64_t kStep = 32, kLeastSteps = 4, kMostSplits = 32;
  /** Tiles that keep a large card busy. */
  constexpr int64_t kEnough = 128;
  Cut cut{half && divideUp(m, 128) * divideUp(n, 128) >= kEnough / 2, 64, 1};
  if (cut.large) cut.side = 128;
  const int64_t tiles = divideUp(m, cut.side) * divideUp(n, cut.side), steps = divideUp(k, kStep) + divideUp(rank, kStep);
  if (tiles < kEnough) cut.splits = most(1, least(least(divideUp(2 * kEnough, tiles), steps / kLeastSteps), kMostSplits));
  return cut;
}

}  // namespace cuda

int64_t workspaceNeeded(const Op& op, int) {
  const auto product = [](int64_t m, int64_t n, int64_t k, int64_t rank, DType act) {
    return cuda::partBytes(cuda::cutOf(m, n, k, rank, act != DType::f32), m, n);
  };
  const auto rankOf = [&](int operand) { return op.in(operand).present ? op.in(operand).shape[1] : 0; };
  switch (op.code) {
    case Code::linear: {
      const int64_t rows = op.in(0).shape[0];
      return rows <= cuda::kFewRows ? 0 : product(rows, op.in(1).shape[0], op.in(0).shape[1], rankOf(3), op.in(0).type);
    }
    case Code::linearInput:
      return product(op.in(0).shape[0], op.in(1).shape[1], op.in(0).shape[1], rankOf(2), op.in(0).type);
    case Code::linearWeight:
      return product(op.in(0).shape[1], op.in(1).shape[1], op.in(0).shape[0], 0, op.in(0).type);
    case Code::attentionBackward:
      return cuda::aligned(4 * op.in(1).shape[0] * op.whole(1));
    case Code::headLoss:
      return cuda::aligned(4 * (op.in(0).shape[0] + 1));
    case Code::sumSquares:
      return cuda::aligned(8 * divideUp(op.in(0).count, cuda::kSquaresBlock));
    default:
      return 0;
  }
}

}  // namespace tunebook
