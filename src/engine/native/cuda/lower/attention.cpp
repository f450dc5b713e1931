// Attention and its gradient: the tensor cores' kernels for 16-bit heads of up to 128 dimensions, the plain ones for all others.

#include "lower.h"

namespace tunebook::cuda {
namespace {

constexpr int64_t kMostDims = 256;

AttentionParams paramsOf(const Op& op, const Operand& q, const Operand& k, const Operand& v, const Operand& ranges, Launches& launches) {
  AttentionParams params = {};
  params.q = q.data, params.k = k.data, params.v = v.data, params.ranges = ranges.as<int32_t>();
  params.batch = static_cast<int32_t>(op.whole(0)), params.heads = static_cast<int32_t>(op.whole(1));
  params.kvHeads = static_cast<int32_t>(op.whole(2));
  params.seqQ = static_cast<int32_t>(q.shape[0] / params.batch), params.seqK = static_cast<int32_t>(k.shape[0] / params.batch);
  params.headDim = static_cast<int32_t>(q.shape[1] / params.heads);
  params.type = typeOf(q), params.vector = params.headDim % 8 == 0;
  params.scale = static_cast<float>(op.attrs[3]);
  params.fault = launches.fault();
  return params;
}

/** 32, 64 or 128, or 0 for the plain kernels. */
int dimsOf(const AttentionParams& params) {
  if (params.type == kF32 || params.headDim > 128) return 0;
  return params.headDim <= 32 ? 32 : params.headDim <= 64 ? 64 : 128;
}

bool refuseWide(const AttentionParams& params, Launches& launches) {
  return launches.refuse("has %d dimensions per head, expected at most %lld on a GPU", params.headDim, static_cast<long long>(kMostDims));
}

const char* nameOfType(const AttentionParams& params) { return params.type == kBf16 ? "bf16" : "f16"; }

constexpr int64_t kPlainSide = 16;

/** Shared memory of the plain kernels: tiles of 16 rows, then f32 scratch. */
unsigned plainBytes(const AttentionParams& params, int tiles, int extra) {
  return static_cast<unsigned>(4 * (tiles * kPlainSide * (params.headDim + 1) + extra));
}

}  // namespace

bool attention(const Op& op, Launches& launches) {
  AttentionParams params = paramsOf(op, op.in(0), op.in(1), op.in(2), op.in(3), launches);
  params.o = op.out(0).data, params.lse = op.out(1).as<float>();
  if (params.headDim > kMostDims) return refuseWide(params, launches);
  const int dims = dimsOf(params);
  if (dims == 0) {
    return launches.add("attention_plain", {divideUp(params.seqQ, kPlainSide), params.heads, params.batch}, 128, params,
                        plainBytes(params, 4, 16 * 16 + 3 * 16));
  }
  char name[64];
  snprintf(name, sizeof name, "attention_%s_%d", nameOfType(params), dims);
  const auto sharedBytes = static_cast<unsigned>((64 + 4 * 64) * (dims + 8) * 2);
  return launches.add(name, {divideUp(params.seqQ, 64), params.heads, params.batch}, 128, params, sharedBytes);
}

bool attentionBackward(const Op& op, Launches& launches) {
  AttentionParams params = paramsOf(op, op.in(1), op.in(2), op.in(3), op.in(6), launches);
  params.dOut = op.in(0).data, params.o = op.in(4).data, params.lse = op.in(5).as<float>();
  params.delta = reinterpret_cast<float*>(op.workspace);
  params.dq = op.out(0).data, params.dk = op.out(1).data, params.dv = op.out(2).data;
  if (params.headDim > kMostDims) return refuseWide(params, launches);
  const int64_t ones = int64_t{params.batch} * params.seqQ * params.heads;
  if (!launches.add("attention_delta", {divideUp(ones, kBlock / 32)}, kBlock, params)) return false;
  const int dims = dimsOf(params);
  if (dims == 0) {
    return launches.add("attention_plain_queries", {divideUp(params.seqQ, kPlainSide), params.heads, params.batch}, 128, params,
                        plainBytes(params, 5, 16 * 16)) &&
           launches.add("attention_plain_keys", {divideUp(params.seqK, kPlainSide), params.kvHeads, params.batch}, 128, params,
                        plainBytes(params, 6, 2 * 16 * 16));
  }
  char name[64];
  const auto sharedBytes = static_cast<unsigned>((2 * 64 + 4 * 32) * (dims + 8) * 2);
  snprintf(name, sizeof name, "attention_queries_%s_%d", nameOfType(params), dims);
  if (!launches.add(name, {divideUp(params.seqQ, 64), params.heads, params.batch}, 128, params, sharedBytes)) return false;
  snprintf(name, sizeof name, "attention_keys_%s_%d", nameOfType(params), dims);
  return launches.add(name, {divideUp(params.seqK, 64), params.kvHeads, params.batch}, 128, params, sharedBytes);
}

}  // namespace tunebook::cuda
