// Scratch per op. Change it together with workspace.ts: a test compiles every op with exactly these bytes, and with one less.

#include "workspace.h"

namespace tunebook {

int64_t productBytes(int64_t m, int64_t k, int threads) {
  // The same for every instruction set: room for whichever tiles need more.
  const int64_t rows = most(roundUp(least(m, kBlockRows), kTileRows), roundUp(least(m, kTiledBlockRows), kTileSide));
  return aligned(4 * rows * k) + threads * (kTileCols * kPanelBytes + aligned(4 * kPatchCols * rows));
}

int64_t attentionBytes(int64_t headDim) {
  const int64_t width = roundUp(headDim, kTileCols);
  return aligned(4 * (2 * (kQueries + kKeyRows) * width + 2 * kKeyRows * kTileCols + 2 * kQueries));
}

int64_t attentionKeyRows(int64_t keyHeads, int64_t keys, int threads) {
  return roundUp(keyHeads >= kHeadsPerThread * threads ? keys : least(keys, kKeys), 4);
}

int64_t attentionBackwardBytes(int64_t headDim, int64_t keyRows) {
  const int64_t width = roundUp(headDim, kTileCols);
  const int64_t laidOut = (4 * kQueries + 3 * kKeyRows) * width;
  const int64_t scores = kKeyRows * (2 * kQueries + 3 * kTileCols);
  return aligned(4 * (laidOut + scores + (kQueries + 2 * keyRows) * width + 2 * kQueries));
}

int64_t biasedBytes(int64_t headDim, int64_t distances) {
  const int64_t width = roundUp(headDim, kBiasedWidth);
  const int64_t blocks = (4 * kBiasedKeys + kBiasedQueries + 2) * width;
  return aligned(4 * (blocks + 2 * kBiasedKeys + 2 * kBiasedQueries + distances + 2 * kBiasedKeys));
}

int64_t biasedSumsBytes(const Op& op) {
  const int64_t batch = op.whole(0), blocks = divideUp(op.in(1).shape[0] / batch, kBiasedQueries);
  return op.out(3).present ? aligned(8 * batch * op.whole(1) * blocks * op.in(8).shape[0]) : 0;
}

static int64_t biasedBackwardNeeded(const Op& op, int threads) {
  return biasedSumsBytes(op) + threads * biasedBytes(op.in(1).shape[1] / op.whole(1), op.in(9).count);
}

static int64_t padded(int64_t k) { return roundUp(k, kTileSteps); }

static int64_t linearBytes(const Op& op, int threads) {
  const int64_t rows = op.in(0).shape[0], inner = op.in(0).shape[1];
  const int64_t rank = op.in(3).present ? op.in(3).shape[1] : 0;
  if (rows <= kFewRows) return aligned(4 * rows * (roundUp(inner, kFewStep) + rank));
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

static int64_t attentionBackwardNeeded(const Op& op, int threads) {
  const int64_t batch = op.whole(0), heads = op.whole(1), kvHeads = op.whole(2);
  const int64_t keyRows = attentionKeyRows(batch * kvHeads, op.in(2).shape[0] / batch, threads);
  return threads * attentionBackwardBytes(op.in(0).shape[1] / heads, keyRows);
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
      return attentionBackwardNeeded(op, threads);
    case Code::attentionBiased:
      return threads * biasedBytes(op.in(0).shape[1] / op.whole(1), op.in(6).count);
    case Code::attentionBiasedBackward:
      return biasedBackwardNeeded(op, threads);
    case Code::headLoss:
      return headLossBytes(op, threads);
    case Code::sumSquares:
      return aligned(8 * divideUp(op.in(0).count, kSquaresBlock));
    default:
      return 0;
  }
}

}  // namespace tunebook
