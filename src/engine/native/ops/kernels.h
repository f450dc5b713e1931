// The kernels of every op, one function each, in the order of ops.ts. They fill the table in table.cpp.
#pragma once

#include "../run.h"
#include "../simd.h"

namespace tunebook::TB_ISA {

bool embedding(const Op& op, Run& run);
bool embeddingWeight(const Op& op, Run& run);
bool rmsNorm(const Op& op, Run& run);
bool rmsNormInput(const Op& op, Run& run);
bool rmsNormWeight(const Op& op, Run& run);
bool linear(const Op& op, Run& run);
bool linearInput(const Op& op, Run& run);
bool linearWeight(const Op& op, Run& run);
bool linearBias(const Op& op, Run& run);
bool rope(const Op& op, Run& run);
bool attention(const Op& op, Run& run);
bool attentionBackward(const Op& op, Run& run);
bool swiglu(const Op& op, Run& run);
bool swigluBackward(const Op& op, Run& run);
bool add(const Op& op, Run& run);
bool cast(const Op& op, Run& run);
bool gatherRows(const Op& op, Run& run);
bool writeRows(const Op& op, Run& run);
bool headLoss(const Op& op, Run& run);
bool zero(const Op& op, Run& run);
bool sumSquares(const Op& op, Run& run);
bool adamw(const Op& op, Run& run);
bool dropout(const Op& op, Run& run);
bool layerNorm(const Op& op, Run& run);
bool layerNormInput(const Op& op, Run& run);
bool layerNormWeight(const Op& op, Run& run);
bool gelu(const Op& op, Run& run);
bool geluBackward(const Op& op, Run& run);
bool geglu(const Op& op, Run& run);
bool gegluBackward(const Op& op, Run& run);
bool relu(const Op& op, Run& run);
bool reluBackward(const Op& op, Run& run);
bool scaledAdd(const Op& op, Run& run);
bool splitHeads(const Op& op, Run& run);
bool joinHeads(const Op& op, Run& run);
bool ropeSections(const Op& op, Run& run);
bool attentionBiased(const Op& op, Run& run);
bool attentionBiasedBackward(const Op& op, Run& run);

/** Where one side of `cast` is a matrix in few bits. */
bool castQuantized(const Op& op, Run& run);

double peak(bool pairs);

/** Elements of one piece of an elementwise op: large enough to hide the claiming, small enough for the first-level cache. */
constexpr int64_t kPiece = 4096;

/** False, with the reason, unless every index is in 0 .. count - 1, or negative where `negativeToo`. */
static inline bool checkIndices(const Op& op, Run& run, int operand, const char* name, int64_t count, bool negativeToo) {
  const Operand& indices = op.operands[operand];
  const auto* index = indices.as<int32_t>();
  for (int64_t i = 0; i < indices.count; i++) {
    if (index[i] < count && (index[i] >= 0 || negativeToo)) continue;
    return fail(run.status, TB_FAILED, op.index, operand, "%s[%lld] is %d, expected 0 to %lld", name,
                static_cast<long long>(i), index[i], static_cast<long long>(count - 1));
  }
  return true;
}

/** out[j] += the sum over rows of value(row, j, left), for columns first .. last - 1; sums of 64 rows are added up, then those sums. */
template <class Value>
static inline void sumColumns(int64_t rows, int64_t first, int64_t last, float* out, const Value& value) {
  constexpr int64_t kRows = 64;
  for (int64_t j = first; j < last; j += kLanes) {
    const int64_t left = last - j;
    Floats total = {};
    for (int64_t start = 0; start < rows; start += kRows) {
      Floats part = {};
      for (int64_t t = start; t < least(rows, start + kRows); t++) part += value(t, j, left);
      total += part;
    }
    store(out + j, load(out + j, left) + total, left);
  }
}

}  // namespace tunebook::TB_ISA
