// Finished sums on their way to where they belong. Used by product.cpp and thin.cpp.
#pragma once

#include "product.h"

namespace tunebook::TB_ISA {

/** One row of finished sums, in `Out`. Whole vectors of `sums` are read. */
template <class Out>
static void writeRowAs(const Product& product, const float* sums, int64_t row, int64_t column, int64_t columns) {
  Out* out = reinterpret_cast<Out*>(product.out) + row * product.outStride + column;
  for (int64_t j = 0; j < columns; j += kLanes) {
    const int64_t left = columns - j;
    Floats v = load(sums + j) * product.alpha;
    if (product.bias) {
      withType(product.biasType, [&](auto* type) {
        v += load(reinterpret_cast<const std::remove_pointer_t<decltype(type)>*>(product.bias) + column + j, left);
      });
    }
    if (product.accumulate) v += load(out + j, left);
    store(out + j, v, left);
  }
}

static inline void writeRow(const Product& product, const float* sums, int64_t row, int64_t column, int64_t columns) {
  withAct(product.outType, [&](auto* type) {
    writeRowAs<std::remove_pointer_t<decltype(type)>>(product, sums, row, column, columns);
  });
}

}  // namespace tunebook::TB_ISA
