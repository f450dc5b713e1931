// The gradient of attention in 16 bits on the tensor cores, in two kernels so that every sum has one owner and one order: dk and dv per
// 64 keys over the queries that see them, dq per 64 queries over the keys they see. Scores are made again (Dao 2023, algorithm 2).
//
//     p = exp(scale * q·k - lse)     ds = scale * p (do·v - do·o)     dv = pᵀ do     dk = dsᵀ q     dq = ds k

#include "attention.h"

namespace tunebook::cuda {
namespace {

/** A block keeps kOwn rows and sees kOther at a time. */
constexpr int kOwn = 64, kOther = 32, kBlockThreads = 128;

template <class E, int dims>
struct Backward {
  using Rows = HeadRows<E, dims>;
  static constexpr int kOwnTile = kOwn * Rows::kStride, kOtherTile = kOther * Rows::kStride;

  const AttentionParams& p;
  E* own;    // two tiles of kOwn rows
  E* other;  // two slots of two tiles of kOther rows
  int64_t width, kvWidth;

  TB_DEVICE Backward(const AttentionParams& p, unsigned char* bytes)
      : p(p), own(reinterpret_cast<E*>(bytes)), other(own + 2 * kOwnTile), width(static_cast<int64_t>(p.heads) * p.headDim),
        kvWidth(static_cast<int64_t>(p.kvHeads) * p.headDim) {}

  /** Rows of two operands at once. */
  template <int count>
  TB_DEVICE void fetch(E* to, int tile, const void* one, const void* two, int64_t stride, int head, int64_t row, int there) {
    const int64_t at = static_cast<int64_t>(head) * p.headDim;
    Rows::template fetch<count, kBlockThreads>(to, static_cast<const E*>(one) + at, stride, row, there, p.headDim, p.vector != 0);
    Rows::template fetch<count, kBlockThreads>(to + tile, static_cast<const E*>(two) + at, stride, row, there, p.headDim, p.vector != 0);
  }

  /** dq of 64 queries of one head. */
  TB_DEVICE void queries(int block, int head, int batch) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int query = block * kOwn, there = p.seqQ - query < kOwn ? p.seqQ - query : kOwn, kvHead = head / (p.heads / p.kvHeads);
    const int64_t row = static_cast<int64_t>(batch) * p.seqQ + query, keyRow = static_cast<int64_t>(batch) * p.seqK;
    const Keys all = keysOfAll(p, batch, query, kOwn);
    const auto keys = [&](int key, int slot) {
      const int left = p.seqK - key < kOther ? p.seqK - key : kOther;
      fetch<kOther>(other + slot * 2 * kOtherTile, kOtherTile, p.k, p.v, kvWidth, kvHead, keyRow + key, left);
    };
    fetch<kOwn>(own, kOwnTile, p.q, p.dOut, width, head, row, there);
    const int start = all.from / kOther * kOther;
    if (start < all.to) keys(start, 0);
    closeCopies();
    const int first = warp * 16 + lane / 4;
    Keys seen[2];
    float lse[2], delta[2];
    for (int half = 0; half < 2; half++) {
      const int i = first + 8 * half;
      seen[half] = keysOf(p, batch, query + i);
      lse[half] = i < there ? p.lse[(row + i) * p.heads + head] * kLog2e : 0.0f;
      delta[half] = i < there ? p.delta[(row + i) * p.heads + head] : 0.0f;
    }
    float sums[dims / 8][4] = {};
    int slot = 0;
    for (int key = start; key < all.to; key += kOther, slot ^= 1) {
      if (key + kOther < all.to) keys(key + kOther, slot ^ 1);
      closeCopies();
      awaitCopies<1>();
      __syncthreads();
      const E *k = other + slot * 2 * kOtherTile, *v = k + kOtherTile;
      float scores[kOther / 8][4], gradients[kOther / 8][4];
      Rows::template scores<kOther>(scores, own, warp * 16, k);
      Rows::template scores<kOther>(gradients, own + kOwnTile, warp * 16, v);
#pragma unroll
      for (int j = 0; j < kOther / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const bool sees = seen[e / 2].see(key + 8 * j + lane % 4 * 2 + e % 2);
          const float share = power2(scores[j][e] * (p.scale * kLog2e) - lse[e / 2]);
          gradients[j][e] = sees ? share * (gradients[j][e] - delta[e / 2]) * p.scale : 0.0f;
        }
      }
      Rows::template gather<kOther>(sums, gradients, k);
      __syncthreads();
    }
    awaitCopies<0>();
    Rows::write(sums, static_cast<E*>(p.dq) + static_cast<int64_t>(head) * p.headDim, width, row + warp * 16, there - warp * 16,
                p.headDim, p.vector != 0, 1.0f, 1.0f);
  }

  /** The first block of queries from `block` on of which one sees a key of key .. key + 63; the number of blocks when none does. */
  TB_DEVICE int nextBlock(int block, int blocks, int batch, int key) const {
    for (; block < blocks; block++) {
      const Keys all = keysOfAll(p, batch, block * kOther, kOther);
      if (all.from < key + kOwn && key < all.to) return block;
    }
    return blocks;
  }

  /** dk and dv of 64 keys of one key head: the heads of its group in order, and the queries of each in order. */
  TB_DEVICE void keys(int block, int kvHead, int batch) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int key = block * kOwn, there = p.seqK - key < kOwn ? p.seqK - key : kOwn, group = p.heads / p.kvHeads;
    const int64_t row = static_cast<int64_t>(batch) * p.seqQ, keyRow = static_cast<int64_t>(batch) * p.seqK + key;
    const int blocks = (p.seqQ + kOther - 1) / kOther;
    const auto queries = [&](int at, int head, int slot) {
      const int left = p.seqQ - at * kOther < kOther ? p.seqQ - at * kOther : kOther;
      fetch<kOther>(other + slot * 2 * kOtherTile, kOtherTile, p.q, p.dOut, width, head, row + at * kOther, left);
    };
    fetch<kOwn>(own, kOwnTile, p.k, p.v, kvWidth, kvHead, keyRow, there);
    const int begin = nextBlock(0, blocks, batch, key);
    int at = begin, head = kvHead * group, slot = 0;
    if (at < blocks) queries(at, head, 0);
    closeCopies();
    float values[dims / 8][4] = {}, sums[dims / 8][4] = {};  // dv, dk
    const int mine = key + warp * 16 + lane / 4;
    while (at < blocks) {
      int nextAt = nextBlock(at + 1, blocks, batch, key), nextHead = head;
      if (nextAt == blocks && head + 1 < (kvHead + 1) * group) nextAt = begin, nextHead = head + 1;
      if (nextAt < blocks) queries(nextAt, nextHead, slot ^ 1);
      closeCopies();
      awaitCopies<1>();
      __syncthreads();
      const E *q = other + slot * 2 * kOtherTile, *dOut = q + kOtherTile;
      float shares[kOther / 8][4], gradients[kOther / 8][4];
      Rows::template scores<kOther>(shares, own, warp * 16, q);
      Rows::template scores<kOther>(gradients, own + kOwnTile, warp * 16, dOut);
#pragma unroll
      for (int j = 0; j < kOther / 8; j++) {
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const int query = at * kOther + 8 * j + lane % 4 * 2 + c;
          const bool exists = query < p.seqQ;
          const int64_t place = exists ? (row + query) * p.heads + head : 0;
          const float lse = p.lse[place] * kLog2e, delta = p.delta[place];
          const Keys seen = keysOf(p, batch, query);
#pragma unroll
          for (int half = 0; half < 2; half++) {
            const int e = 2 * half + c;
            const bool sees = seen.see(mine + 8 * half);
            shares[j][e] = sees ? power2(shares[j][e] * (p.scale * kLog2e) - lse) : 0.0f;
            gradients[j][e] = sees ? shares[j][e] * (gradients[j][e] - delta) * p.scale : 0.0f;
          }
        }
      }
      Rows::template gather<kOther>(values, shares, dOut);
      Rows::template gather<kOther>(sums, gradients, q);
      __syncthreads();
      at = nextAt, head = nextHead, slot ^= 1;
    }
    awaitCopies<0>();
    const int64_t first = static_cast<int64_t>(kvHead) * p.headDim;
    Rows::write(values, static_cast<E*>(p.dv) + first, kvWidth, keyRow + warp * 16, there - warp * 16, p.headDim, p.vector != 0, 1.0f, 1.0f);
    Rows::write(sums, static_cast<E*>(p.dk) + first, kvWidth, keyRow + warp * 16, there - warp * 16, p.headDim, p.vector != 0, 1.0f, 1.0f);
  }
};

template <class E, int dims>
TB_DEVICE void queryGradients(const AttentionParams& p) {
  TB_SHARED_BYTES(bytes);
  Backward<E, dims>(p, bytes).queries(static_cast<int>(gridDim.x - 1 - blockIdx.x), static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.z));
}

template <class E, int dims>
TB_DEVICE void keyGradients(const AttentionParams& p) {
  TB_SHARED_BYTES(bytes);
  Backward<E, dims>(p, bytes).keys(static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.z));
}

}  // namespace

#define TB_BACKWARD(type, dims)                                                                                  \
  TB_KERNEL(attention_queries_##type##_##dims, 128, AttentionParams) { queryGradients<type, dims>(p); }          \
  TB_KERNEL(attention_keys_##type##_##dims, 128, AttentionParams) { keyGradients<type, dims>(p); }

TB_BACKWARD(bf16, 32)
TB_BACKWARD(bf16, 64)
TB_BACKWARD(bf16, 128)
TB_BACKWARD(f16, 32)
TB_BACKWARD(f16, 64)
TB_BACKWARD(f16, 128)

/** delta[row, head] = do · o, by one warp each. */
TB_KERNEL(attention_delta, 256, AttentionParams) {
  const int64_t one = static_cast<int64_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
  if (one >= static_cast<int64_t>(p.batch) * p.seqQ * p.heads) return;
  float sum = 0;
  for (int d = static_cast<int>(threadIdx.x) % 32; d < p.headDim; d += 32) {
    const int64_t at = one * p.headDim + d;  // a row holds its heads one after another
    sum = fmaf(loadAs(p.type, p.dOut, at), loadAs(p.type, p.o, at), sum);
  }
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) p.delta[one] = sum;
}

}  // namespace tunebook::cuda
