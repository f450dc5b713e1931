// What attention and its backward share: the shapes, the ranges of keys, and products of small packed blocks in f32.
#pragma once

#include "../gemm/tile.h"
#include "kernels.h"

namespace tunebook::TB_ISA {

struct Shape {
  int64_t batch, heads, kvHeads, seqQ, seqK, headDim;
  float scale;
  const int32_t* ranges;

  int64_t group() const { return heads / kvHeads; }
  int64_t queryBlocks() const { return divideUp(seqQ, kQueries); }
  int64_t keyBlocks() const { return divideUp(seqK, kKeys); }
  /** Keys that a query of the whole batch sees, [from, to); from >= to for none. */
  int64_t from(int64_t row) const { return ranges[2 * row]; }
  int64_t to(int64_t row) const { return ranges[2 * row + 1]; }
};

/** `q` and `k` are positions of operands; attrs are those of attention. */
static inline Shape shapeOf(const Op& op, int q, int k, int ranges) {
  const int64_t batch = op.whole(0), heads = op.whole(1);
  return {batch,
          heads,
          op.whole(2),
          op.in(q).shape[0] / batch,
          op.in(k).shape[0] / batch,
          op.in(q).shape[1] / heads,
          static_cast<float>(op.attrs[3]),
          op.in(ranges).as<int32_t>()};
}

/** False, with the reason, unless every range that is not empty lies within the keys. */
static inline bool checkRanges(const Op& op, Run& run, int operand, const Shape& shape) {
  for (int64_t row = 0; row < shape.batch * shape.seqQ; row++) {
    const int64_t from = shape.from(row), to = shape.to(row);
    if (from >= to || (from >= 0 && to <= shape.seqK)) continue;
    return fail(run.status, TB_FAILED, op.index, operand, "ranges[%lld] is [%lld, %lld), expected to lie in [0, %lld)",
                static_cast<long long>(row), static_cast<long long>(from), static_cast<long long>(to),
                static_cast<long long>(shape.seqK));
  }
  return true;
}

/** A block of queries of one head, and the keys that any of them sees. */
struct Queries {
  int64_t row, count;  // rows of q, of the whole batch
  int64_t firstKey, lastKey;

  Queries(const Shape& shape, int64_t batch, int64_t block) {
    row = batch * shape.seqQ + block * kQueries;
    count = least(kQueries, shape.seqQ - block * kQueries);
    firstKey = shape.seqK;
    lastKey = 0;
    for (int64_t i = row; i < row + count; i++) {
      if (shape.from(i) >= shape.to(i)) continue;
      firstKey = least(firstKey, shape.from(i));
      lastKey = most(lastKey, shape.to(i));
    }
  }

  /** Whether any query sees one of the keys from .. to - 1. */
  bool see(int64_t from, int64_t to) const { return firstKey < to && from < lastKey; }
};

/** A head's part of an operand [rows, heads * headDim], from a row on: rows are the factor's i, or k when turned. */
static inline Factor headFactor(const Operand& operand, int64_t row, int64_t head, int64_t headDim, bool turned) {
  const int64_t width = operand.shape[1];
  return {operand.data + (row * width + head * headDim) * bytesOf(operand.type), operand.type, width, turned, nullptr, false};
}

static inline Factor localFactor(const float* data, int64_t stride, bool turned) {
  return {reinterpret_cast<const char*>(data), DType::f32, stride, turned, nullptr, false};
}

/** All row panels of a block: `rows` elements along i, `k` along the sums. */
static inline void packRows(const Factor& factor, int64_t rows, int64_t k, float* out) {
  for (int64_t i = 0; i < rows; i += kTileR) {
    pack<Singles, kTileR>(factor, i, least(kTileR, rows - i), 0, k, reinterpret_cast<uint32_t*>(out + i * k));
  }
}

static inline void packColumns(const Factor& factor, int64_t columns, int64_t k, float* out) {
  for (int64_t j = 0; j < columns; j += kTileC) {
    pack<Singles, kTileC>(factor, j, least(kTileC, columns - j), 0, k, reinterpret_cast<uint32_t*>(out + j * k));
  }
}

/** c [rows, columns rounded up to whole tiles] = beta * c + a b, of packed blocks. */
static inline void multiplyBlock(int64_t rows, int64_t columns, int64_t k, const float* a, const float* b, float* c,
                                 int64_t stride, float beta) {
  for (int64_t j = 0; j < columns; j += kTileC) {
    for (int64_t i = 0; i < rows; i += kTileR) {
      multiplyTile<Singles>(least(kTileR, rows - i), least(kTileC, columns - j), k, reinterpret_cast<const uint32_t*>(a + i * k),
                            reinterpret_cast<const uint32_t*>(b + j * k), c + i * stride + j, stride, beta);
    }
  }
}

static inline void clear(float* data, int64_t count) { std::memset(data, 0, static_cast<size_t>(count) * 4); }

/** Rows of f32 sums to a head's part of an operand, each times factor(row). */
template <class RowFactor>
static inline void writeHead(const float* from, int64_t stride, const Operand& to, int64_t row, int64_t count, int64_t head,
                             int64_t headDim, const RowFactor& factor) {
  withAct(to.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    for (int64_t i = 0; i < count; i++) {
      T* out = to.as<T>() + (row + i) * to.shape[1] + head * headDim;
      const float times = factor(i);
      for (int64_t j = 0; j < headDim; j += kLanes) store(out + j, load(from + i * stride + j) * times, headDim - j);
    }
  });
}

/** Which lanes at columns `at` .. lie in [from, to). */
static inline Ints lanesWithin(int64_t at, int64_t from, int64_t to) {
  Ints lane;
  for (int32_t i = 0; i < kLanes; i++) lane[i] = i;
  const auto first = static_cast<int32_t>(from - at), last = static_cast<int32_t>(to - at);
  return (lane >= first) & (lane < last);
}

}  // namespace tunebook::TB_ISA
