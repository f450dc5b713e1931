// Attention in 16 bits on the tensor cores, with a running maximum and sum per query (Dao 2023, FlashAttention-2, algorithm 1).
// A block is 64 queries of one head, a warp 16 of them; it walks over the keys that any of them sees, 64 at a time.

#include "attention.h"

namespace tunebook::cuda {
namespace {

constexpr int kQueryRows = 64, kKeyRows = 64, kBlockThreads = 128;

template <class E, int dims>
TB_DEVICE void attend(const AttentionParams& p) {
  using Rows = HeadRows<E, dims>;
  constexpr int kTile = kKeyRows * Rows::kStride;
  TB_SHARED_BYTES(bytes);
  E* queries = reinterpret_cast<E*>(bytes);
  E* ring = queries + kQueryRows * Rows::kStride;  // keys and values, two slots
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  // The last queries first: under a causal mask they have the most keys.
  const int block = static_cast<int>(gridDim.x - 1 - blockIdx.x), head = static_cast<int>(blockIdx.y), batch = static_cast<int>(blockIdx.z);
  const int query = block * kQueryRows, there = p.seqQ - query < kQueryRows ? p.seqQ - query : kQueryRows;
  const int kvHead = head / (p.heads / p.kvHeads);
  const int64_t width = static_cast<int64_t>(p.heads) * p.headDim, kvWidth = static_cast<int64_t>(p.kvHeads) * p.headDim;
  const int64_t row = static_cast<int64_t>(batch) * p.seqQ + query, keyRow = static_cast<int64_t>(batch) * p.seqK;
  const E* keyBase = static_cast<const E*>(p.k) + kvHead * p.headDim;
  const E* valueBase = static_cast<const E*>(p.v) + kvHead * p.headDim;
  const bool vector = p.vector != 0;
  const Keys all = keysOfAll(p, batch, query, kQueryRows);
  const auto fetch = [&](int key, int slot) {
    const int left = p.seqK - key < kKeyRows ? p.seqK - key : kKeyRows;
    Rows::template fetch<kKeyRows, kBlockThreads>(ring + slot * 2 * kTile, keyBase, kvWidth, keyRow + key, left, p.headDim, vector);
    Rows::template fetch<kKeyRows, kBlockThreads>(ring + (slot * 2 + 1) * kTile, valueBase, kvWidth, keyRow + key, left, p.headDim, vector);
  };
  Rows::template fetch<kQueryRows, kBlockThreads>(queries, static_cast<const E*>(p.q) + head * p.headDim, width, row, there, p.headDim,
                                                  vector);
  const int start = all.from / kKeyRows * kKeyRows;
  if (start < all.to) fetch(start, 0);
  closeCopies();

  const int first = warp * 16 + lane / 4;  // the lane's rows: this and the eighth after it
  const Keys seen[2] = {keysOf(p, batch, query + first), keysOf(p, batch, query + first + 8)};
  const float scale = p.scale * kLog2e;
  float sums[dims / 8][4] = {}, tops[2] = {-INFINITY, -INFINITY}, totals[2] = {};
  int slot = 0;
  for (int key = start; key < all.to; key += kKeyRows, slot ^= 1) {
    if (key + kKeyRows < all.to) fetch(key + kKeyRows, slot ^ 1);
    closeCopies();
    awaitCopies<1>();
    __syncthreads();
    float scores[kKeyRows / 8][4];
    Rows::template scores<kKeyRows>(scores, queries, warp * 16, ring + slot * 2 * kTile);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float top = tops[half];
#pragma unroll
      for (int j = 0; j < kKeyRows / 8; j++) {
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; e++) {
          const bool sees = seen[half].see(key + 8 * j + lane % 4 * 2 + e % 2);
          scores[j][e] = sees ? scores[j][e] * scale : -INFINITY;
          top = scores[j][e] > top ? scores[j][e] : top;
        }
      }
      for (int step = 1; step < 4; step *= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, top, step);
        top = other > top ? other : top;
      }
      const float shrink = tops[half] == top ? 1.0f : power2(tops[half] - top);
      float total = 0;
#pragma unroll
      for (int j = 0; j < kKeyRows / 8; j++) {
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; e++) {
          const bool sees = seen[half].see(key + 8 * j + lane % 4 * 2 + e % 2);
          scores[j][e] = sees ? power2(scores[j][e] - top) : 0.0f;
          total += scores[j][e];
        }
      }
      for (int step = 1; step < 4; step *= 2) total += __shfl_xor_sync(0xffffffffu, total, step);
      totals[half] = totals[half] * shrink + total;
      tops[half] = top;
#pragma unroll
      for (auto& sum : sums) sum[2 * half] *= shrink, sum[2 * half + 1] *= shrink;
    }
    Rows::template gather<kKeyRows>(sums, scores, ring + (slot * 2 + 1) * kTile);
    __syncthreads();
  }
  awaitCopies<0>();
  float factors[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const bool empty = seen[half].from >= seen[half].to;
    factors[half] = empty ? 0.0f : 1.0f / totals[half];
    const int i = first + 8 * half;
    if (lane % 4 == 0 && i < there) {
      p.lse[(row + i) * p.heads + head] = empty ? 0.0f : (tops[half] + log2f(totals[half])) / kLog2e;
    }
  }
  Rows::write(sums, static_cast<E*>(p.o) + head * p.headDim, width, row + warp * 16, there - warp * 16, p.headDim, vector, factors[0], factors[1]);
}

}  // namespace

#define TB_ATTENTION(type)                                                                                      \
  TB_KERNEL(attention_##type##_32, 128, AttentionParams) { attend<type, 32>(p); }                               \
  TB_KERNEL(attention_##type##_64, 128, AttentionParams) { attend<type, 64>(p); }                               \
  TB_KERNEL(attention_##type##_128, 128, AttentionParams) { attend<type, 128>(p); }

TB_ATTENTION(bf16)
TB_ATTENTION(f16)

}  // namespace tunebook::cuda
