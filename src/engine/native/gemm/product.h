// The blocked product of two matrices on all threads. Next to read: pack.h.
#pragma once

#include "../run.h"
#include "tile.h"

namespace tunebook::TB_ISA {

/** One stretch of the sums: c = beta * c + a b over k. The stretches of a product follow each other. */
struct Stretch {
  Factor a;
  Factor b;
  int64_t k = 0;
  float beta = 0;
};

/**
 * out (= or +=) alpha * c + bias, where c [m, n] is the last stretch's result. Sums are f32; `out` is rounded once, at the end.
 * Each element is summed in one fixed order, whatever the number of threads.
 */
struct Product {
  int64_t m = 0, n = 0;
  Stretch stretches[2];
  int count = 1;
  float alpha = 1;
  bool accumulate = false;
  /** Multiply as bf16 where the machine can (in tiles, see amx.h, or in vectors); else as f32, as f16 always is. */
  bool half = false;
  char* out = nullptr;
  DType outType = DType::f32;
  int64_t outStride = 0;
  const char* bias = nullptr;
  DType biasType = DType::f32;
};

/** @param workspace - At least productBytes(m, sum of k each rounded up to kTileSteps, threads). */
void multiply(const Product& product, char* workspace, Run& run);

}  // namespace tunebook::TB_ISA
