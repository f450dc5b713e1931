// What attention and its backward share: shapes, the ranges of keys, and blocks of query rows. Next to read: block-product.h.
//
// Scores are made keys by queries, [key][query row]: each lane is a query, so that the softmax's maximum and sum need no sums across lanes,
// and a block of shares is already laid out for the product with the values. A query row is one query of one head; the heads that share
// keys take turns ("grouped queries"), so that keys and values are laid out once for all of them.
#pragma once

#include "block-product.h"
#include "kernels.h"

namespace tunebook::TB_ISA {

struct Shape {
  int64_t batch, heads, kvHeads, seqQ, seqK, headDim;
  float scale;
  const int32_t* ranges;

  int64_t group() const { return heads / kvHeads; }
  int64_t rowBlocks() const { return divideUp(seqQ * group(), kQueries); }
  int64_t keyBlocks() const { return divideUp(seqK, kKeys); }
  /** headDim rounded up to whole tiles. */
  int64_t width() const { return roundUp(headDim, kTileCols); }
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
    const int64_t from = shape.ranges[2 * row], to = shape.ranges[2 * row + 1];
    if (from >= to || (from >= 0 && to <= shape.seqK)) continue;
    return fail(run.status, TB_FAILED, op.index, operand, "ranges[%lld] is [%lld, %lld), expected to lie in [0, %lld)",
                static_cast<long long>(row), static_cast<long long>(from), static_cast<long long>(to),
                static_cast<long long>(shape.seqK));
  }
  return true;
}

/** Keys [from, to) that rows see; from >= to for none. */
struct Seen {
  int32_t from, to;

  bool any() const { return from < to; }
  bool all(int32_t first, int32_t last) const { return from <= first && last <= to; }
};

/** The query rows of one key head, a block of them: which query and head each is, and the keys it sees. */
struct QueryRows {
  static constexpr int64_t kPanels = kQueries / kTileC;
  const Shape& shape;
  int64_t batch, count;
  /** Of each row: position in [rows, heads] of the whole batch. */
  int64_t at[kQueries];
  /** Of each row, for lanes; of each panel of kTileC rows: keys that one of its rows sees, keys that all of them see. */
  int32_t from[kQueries], to[kQueries];
  Seen one[kPanels], every[kPanels];
  /** Keys that one of the block's rows sees. */
  Seen seen;

  QueryRows(const Shape& shape, int64_t batch, int64_t kvHead, int64_t block)
      : shape(shape), batch(batch), count(least(kQueries, shape.seqQ * shape.group() - block * kQueries)) {
    const Seen none{INT32_MAX, 0};
    seen = none;
    for (int64_t panel = 0; panel < kPanels; panel++) {
      one[panel] = none;
      every[panel] = {0, INT32_MAX};
    }
    int64_t query = batch * shape.seqQ + block * kQueries / shape.group(), head = block * kQueries % shape.group();
    for (int64_t i = 0; i < count; i++) {
      const Seen range{shape.ranges[2 * query], shape.ranges[2 * query + 1]};
      const int64_t panel = i / kTileC;
      at[i] = query * shape.heads + kvHead * shape.group() + head;
      from[i] = range.any() ? range.from : 0;
      to[i] = range.any() ? range.to : 0;
      if (range.any()) one[panel] = {smaller(one[panel].from, from[i]), greater(one[panel].to, to[i])};
      every[panel] = {greater(every[panel].from, from[i]), smaller(every[panel].to, to[i])};
      if (++head == shape.group()) {
        head = 0;
        query++;
      }
    }
    for (int64_t i = count; i < kQueries; i++) from[i] = to[i] = 0;
    for (const Seen& panel : one) seen = {smaller(seen.from, panel.from), greater(seen.to, panel.to)};
  }

  bool isEmpty(int64_t i) const { return from[i] >= to[i]; }
  int64_t panels() const { return divideUp(count, kTileC); }

  /** Where row i begins in an operand shaped like q. */
  template <class T>
  auto rowsOf(const Operand& operand) const {
    return [this, &operand](int64_t i) { return operand.as<T>() + at[i] * shape.headDim; };
  }

 private:
  static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
  static int32_t greater(int32_t a, int32_t b) { return a > b ? a : b; }
};

/** Where key i of a key head begins in an operand shaped like k; `key` is a row of the whole batch. */
template <class T>
static inline auto keysOf(const Shape& shape, const Operand& operand, int64_t key, int64_t kvHead) {
  return [=, &operand](int64_t i) { return operand.as<T>() + ((key + i) * shape.kvHeads + kvHead) * shape.headDim; };
}

/** The part of a block of keys that a panel works on: keys first .. last - 1 of the block, and those of them that every row sees. */
struct Part {
  int64_t first, last, fullFirst, fullLast;

  /** @param step - Keys of one step of a sum: the first key is brought down to a whole one. */
  Part(const Seen& one, const Seen& every, int64_t key, int64_t keys, int64_t step) {
    const auto within = [&](int64_t at) { return most(0, least(at - key, keys)); };
    first = within(one.from) / step * step;
    last = within(one.to);
    fullFirst = roundUp(most(within(every.from), first), step);
    fullLast = most(fullFirst, within(every.to) / step * step);
    if (fullFirst >= last || fullLast > last) fullFirst = fullLast = last;
  }

  bool any() const { return first < last; }
};

/** Calls body(key, bounded) for the steps of a part in order; `bounded` is a std::true_type where some lanes may not see the key. */
template <class Body>
static inline void eachStep(const Part& part, int64_t step, const Body& body) {
  for (int64_t j = part.first; j < part.fullFirst; j += step) body(j, std::true_type{});
  for (int64_t j = part.fullFirst; j < part.fullLast; j += step) body(j, std::false_type{});
  for (int64_t j = part.fullLast; j < part.last; j += step) body(j, std::true_type{});
}

/** Which lanes see a key. */
static inline Ints lanesSeeing(const int32_t* from, const int32_t* to, int64_t key) {
  Ints first, last;
  std::memcpy(&first, from, sizeof first);
  std::memcpy(&last, to, sizeof last);
  const Ints at = Ints{} + static_cast<int32_t>(key);
  return (at >= first) & (at < last);
}

constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

}  // namespace tunebook::TB_ISA
