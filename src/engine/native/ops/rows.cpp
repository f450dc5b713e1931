// Whole rows moved by index: embedding and its gradient, gatherRows, writeRows. Indices are checked before anything is written.

#include "kernels.h"

namespace tunebook::TB_ISA {
namespace {

template <class From, class To>
void convertRow(const From* from, To* to, int64_t count) {
  eachVector(0, count, [&](int64_t i, auto left) { store(to + i, load(from + i, left), left); });
}

/** y[t] = table[index[t]]. */
void gather(const Operand& table, const Operand& indices, const Operand& y, Run& run) {
  const int64_t width = table.shape[1];
  const auto* index = indices.as<int32_t>();
  withType(table.type, [&](auto* from) {
    withAct(y.type, [&](auto* to) {
      using From = std::remove_pointer_t<decltype(from)>;
      using To = std::remove_pointer_t<decltype(to)>;
      run.pieces(indices.count, divideUp(kPiece, width), [&](int64_t first, int64_t last) {
        for (int64_t t = first; t < last; t++) convertRow(table.as<From>() + index[t] * width, y.as<To>() + t * width, width);
      });
    });
  });
}

}  // namespace

bool embedding(const Op& op, Run& run) {
  if (!checkIndices(op, run, 1, "ids", op.in(0).shape[0], false)) return false;
  gather(op.in(0), op.in(1), op.out(0), run);
  return true;
}

bool gatherRows(const Op& op, Run& run) {
  if (!checkIndices(op, run, 1, "rows", op.in(0).shape[0], false)) return false;
  gather(op.in(0), op.in(1), op.out(0), run);
  return true;
}

/** Threads share the columns, so that each column adds its tokens in their order. */
bool embeddingWeight(const Op& op, Run& run) {
  const Operand &dy = op.in(0), &ids = op.in(1), &dWeight = op.out(0);
  if (!checkIndices(op, run, 1, "ids", dWeight.shape[0], false)) return false;
  const int64_t width = dy.shape[1];
  const auto* id = ids.as<int32_t>();
  withAct(dy.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(width, 128, [&](int64_t first, int64_t last) {
      for (int64_t t = 0; t < ids.count; t++) {
        float* out = dWeight.as<float>() + id[t] * width;
        const T* in = dy.as<T>() + t * width;
        eachVector(first, last, [&](int64_t j, auto left) { store(out + j, load(out + j, left) + load(in + j, left), left); });
      }
    });
  });
  return true;
}

/** One thread, in the order of t: two tokens may name one row, and then the later one stays. */
bool writeRows(const Op& op, Run& run) {
  const Operand &x = op.in(0), &rows = op.in(1), &cache = op.out(0);
  if (!checkIndices(op, run, 1, "rows", cache.shape[0], true)) return false;
  const int64_t bytes = x.shape[1] * bytesOf(x.type);
  const auto* row = rows.as<int32_t>();
  for (int64_t t = 0; t < rows.count; t++) {
    if (row[t] >= 0) std::memcpy(cache.data + row[t] * bytes, x.data + t * bytes, static_cast<size_t>(bytes));
  }
  return true;
}

}  // namespace tunebook::TB_ISA
