// Scratch per op. Change it together with workspace.ts: a test compiles every op with exactly these bytes, and with one less.

#include "workspace.h"

namespace tunebook {

int64_t productBytes(int64_t m, int64_t k, int threads) {
  // The same for every instruction set: room for whichever tiles need more.
  const int64_t rows = most(roundUp(least(m, kBlockRows), kTileRows), roundUp(least(m, kTiledBlockRows), kTileSide));
  return aligned(4 * rows * k) + threads * (kTileCols * kPanelBytes + aligned(4 * kPatchCols * rows));
}

int64_t attentionBytes(int64_t headDim) {
  const int64_t columns = roundUp(headDim, kTileCols);
  const int64_t packed = kQueries * headDim + kKeys * headDim + columns * kKeys;
  const int64_t scores = 2 * kQueries * kKeys;
  return aligned(4 * (packed + scores + kQueries * columns + 2 * kQueries));
}

int64_t attentionBackwardBytes(int64_t headDim) {
  const int64_t columns = roundUp(headDim, kTileCols);
  const int64_t packed = 2 * (kQueries + kKeys) * headDim;
  const int64_t scores = 2 * kQueries * kKeys;
  const int64_t second = roundUp(kKeys, kTileRows) * kQueries + columns * kQueries;
  return aligned(4 * (packed + scores + second + 2 * kQueries * columns + 2 * kQueries));
}

static int64_t padded(int64_t k) { return roundUp(k, kTileSteps); }

static int64_t linearBytes(const Op& op, int threads) {
  const int64_t rows = op.in(0).shape[0], inner = op.in(0).shape[1];
  const int64_t rank = op.in(3).present ? op.in(3).shape[1] : 0;
  if (rows <= kFewRows) return aligned(4 * rows * (inner + rank));
  return productBytes(rows, padded(inner) + padded(rank), threads);
}

static int64_t headLossBytes(const Op& op, int threads) {
  const int64_t width = op.in(0).shape[1], vocab = op.in(1).shape[0], chunk = op.whole(0);
  int64_t product = productBytes(chunk, padded(width), threads), bytes = aligned(4 * chunk);
  if (op.out(2).present) {
    bytes += aligned(4 * chunk * width);
    product = most(product, productBytes(chunk, padded(least(vocab, kVocabBlock)), threads));
  }
  if (op.out(3).present) product = most(product, productBytes(vocab, padded(chunk), threads));
  return bytes + product;
}

int64_t workspaceNeeded(const Op& op, int threads) {
  switch (op.code) {
    case Code::linear:
      return linearBytes(op, threads);
    case Code::linearInput: {
      const int64_t rank = op.in(2).present ? op.in(2).shape[1] : 0;
      return productBytes(op.in(0).shape[0], padded(op.in(0).shape[1]) + padded(rank), threads);
    }
    case Code::linearWeight:
      return productBytes(op.in(0).shape[1], padded(op.in(0).shape[0]), threads);
    case Code::attention:
      return threads * attentionBytes(op.in(0).shape[1] / op.whole(1));
    case Code::attentionBackward:
      return threads * attentionBackwardBytes(op.in(0).shape[1] / op.whole(1));
    case Code::headLoss:
      return headLossBytes(op, threads);
    case Code::sumSquares:
      return aligned(8 * divideUp(op.in(0).count, kSquaresBlock));
    default:
      return 0;
  }
}

}  // namespace tunebook
