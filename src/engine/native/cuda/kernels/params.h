// What kernels are called with: one struct each, the same bytes for the host, nvcc and the simulator. Pointers are device addresses.
#pragma once

#include <cstdint>

namespace tunebook::cuda {

/** Codes of dtype.ts. */
enum Type : int32_t { kF32 = 0, kBf16 = 1, kF16 = 2, kI32 = 3 };

constexpr int kThreads = 256;
constexpr int kRowThreads = 256;

/** Where a kernel says that an index leads out of a table: the smallest of (op << 40 | element) of all that were found. */
struct Fault {
  unsigned long long* worst;
  unsigned long long op;
};

/** A factor of a product. `turned` ones run along the result's axis, the others along the sum's. */
struct Matrix {
  const void* data;
  /** Row i of the matrix is rows[i] of data, where rows is given. */
  const int32_t* rows;
  int64_t stride;
  int32_t type;
  /** Whether every row starts at a multiple of 16 bytes and ends at one. */
  int32_t vector;
};

/** Part of a product: the sums so far are multiplied by `before`, then those over k are added. */
struct Stretch {
  Matrix a, b;
  int64_t k;
  float before;
};

/**
 * out[i, j] (= or +=) alpha * scale[0] * (sum over stretches of a[i, k] b[j, k]) + bias[j].
 *
 * `limit`, where given, is a number of rows on the device, of which `base` are done: it bounds m (limits = 1) or k (limits = 2).
 */
struct ProductParams {
  Stretch stretches[2];
  int32_t count;
  int32_t accumulate;
  int64_t m, n;
  float alpha;
  int32_t outType;
  /** A factor that is known when it runs, or none. */
  const double* scale;
  void* out;
  const int32_t* outRows;
  int64_t outStride;
  const void* bias;
  int32_t biasType;
  int32_t limits;
  const int32_t* limit;
  int64_t base;
  /** Sums over parts of k, [splits, m, n] f32, added up by productSum; splits = 1 writes out at once. */
  float* parts;
  int32_t splits;
};

/** y = x wᵀ + bias + scale * h bᵀ for few rows. */
struct FewParams {
  const void *x, *w, *bias, *h, *b;
  void* y;
  int32_t rows, type, wType, biasType, bType, yType, vector;
  float scale;
  int64_t n, k, rank;
};

struct AttentionParams {
  const void *q, *k, *v;
  const int32_t* ranges;
  void* o;
  float* lse;
  // The gradient's: dOut, o and delta [queries, heads] f32 come in, dq, dk, dv go out.
  const void* dOut;
  float* delta;
  void *dq, *dk, *dv;
  int32_t batch, heads, kvHeads, seqQ, seqK, headDim, type;
  /** Whether rows can be read 16 bytes at a time. */
  int32_t vector;
  float scale;
  Fault fault;
};

struct NormParams {
  const void *x, *weight, *dy;
  void *y, *dx;
  float *rstd, *dWeight;
  int64_t rows, width;
  double eps;
  int32_t type, weightType, accumulate;
};

struct RopeParams {
  const void* x;
  void* y;
  const float *cos, *sin;
  const int32_t* positions;
  int64_t rows;
  int32_t heads, headDim, cols, table, interleaved, type;
  float sign;
  Fault fault;
};

/** Elementwise ops: up to three inputs and two outputs of `count` numbers. */
struct ElementParams {
  const void *a, *b, *c;
  void *y, *z;
  int64_t count;
  int32_t type, outType;
  // dropout
  const double* uniforms;
  uint32_t stream, threshold;
  float scale;
};

struct RowsParams {
  const void* from;
  void* to;
  const int32_t* index;
  int64_t count, width, table;
  int32_t fromType, toType;
  Fault fault;
};

struct LossParams {
  const int32_t* labels;
  /** The labelled rows in order, then their number. */
  int32_t* rows;
  int32_t* labelled;
  float *logits, *nll, *totals;
  int64_t count, vocab, chunk, base;
  int32_t gradient;
  Fault fault;
};

struct SquaresParams {
  const float* x;
  double* sums;
  float* total;
  int64_t count, blocks;
};

struct AdamParams {
  const float *grad, *total;
  float *param, *m, *v;
  const double* uniforms;
  int64_t count;
  double beta1, beta2, eps, decay, rateFactor;
};

}  // namespace tunebook::cuda
