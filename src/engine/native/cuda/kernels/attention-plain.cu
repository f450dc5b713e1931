// Attention and its gradient in f32, for f32 activations and for heads wider than the tensor cores' kernels take. Blocks of 16 rows
// against 16 rows; scores and sums live in shared memory.

#include "attention.h"

namespace tunebook::cuda {
namespace {

constexpr int kSide = 16, kBlockThreads = 128;

struct Plain {
  const AttentionParams& p;
  int stride;
  float* room;

  TB_DEVICE Plain(const AttentionParams& p, unsigned char* bytes)
      : p(p), stride(p.headDim + 1), room(reinterpret_cast<float*>(bytes)) {}

  TB_DEVICE float* tile(int i) const { return room + i * kSide * stride; }
  /** Small arrays after `tiles` tiles. */
  TB_DEVICE float* extra(int tiles) const { return room + tiles * kSide * stride; }

  TB_DEVICE void fetch(float* to, const void* from, int heads, int head, int64_t row, int there) const {
    for (int e = static_cast<int>(threadIdx.x); e < kSide * p.headDim; e += kBlockThreads) {
      const int i = e / p.headDim, d = e % p.headDim;
      to[i * stride + d] = i < there ? loadAs(p.type, from, (row + i) * heads * p.headDim + head * p.headDim + d) : 0.0f;
    }
  }
  TB_DEVICE void clear(float* to) const {
    for (int e = static_cast<int>(threadIdx.x); e < kSide * stride; e += kBlockThreads) to[e] = 0;
  }
  TB_DEVICE void write(const float* from, void* to, int heads, int head, int64_t row, int there, const float* factors) const {
    for (int e = static_cast<int>(threadIdx.x); e < there * p.headDim; e += kBlockThreads) {
      const int i = e / p.headDim, d = e % p.headDim;
      storeAs(p.type, to, (row + i) * heads * p.headDim + head * p.headDim + d, from[i * stride + d] * (factors ? factors[i] : 1.0f));
    }
  }
  TB_DEVICE float dot(const float* a, const float* b) const {
    float sum = 0;
    for (int d = 0; d < p.headDim; d++) sum = fmaf(a[d], b[d], sum);
    return sum;
  }
  /** to[i] += sum over j of weights[i, j] * from[j], or of weights[j, i]. */
  TB_DEVICE void gather(float* to, const float* weights, bool turned, const float* from) const {
    for (int e = static_cast<int>(threadIdx.x); e < kSide * p.headDim; e += kBlockThreads) {
      const int i = e / p.headDim, d = e % p.headDim;
      float sum = to[i * stride + d];
      for (int j = 0; j < kSide; j++) sum = fmaf(weights[turned ? j * kSide + i : i * kSide + j], from[j * stride + d], sum);
      to[i * stride + d] = sum;
    }
  }
};

TB_DEVICE int within(int left) { return left < kSide ? left : kSide; }

}  // namespace

TB_KERNEL(attention_plain, 128, AttentionParams) {
  TB_SHARED_BYTES(bytes);
  const Plain plain(p, bytes);
  float *q = plain.tile(0), *k = plain.tile(1), *v = plain.tile(2), *o = plain.tile(3), *scores = plain.extra(4);
  float *tops = scores + kSide * kSide, *totals = tops + kSide, *shrinks = totals + kSide;
  const int head = static_cast<int>(blockIdx.y), batch = static_cast<int>(blockIdx.z), kvHead = head / (p.heads / p.kvHeads);
  const int query = static_cast<int>(blockIdx.x) * kSide, there = within(p.seqQ - query), t = static_cast<int>(threadIdx.x);
  const int64_t row = static_cast<int64_t>(batch) * p.seqQ + query, keyRow = static_cast<int64_t>(batch) * p.seqK;
  const Keys all = keysOfAll(p, batch, query, kSide);
  plain.fetch(q, p.q, p.heads, head, row, there);
  plain.clear(o);
  if (t < kSide) tops[t] = -INFINITY, totals[t] = 0;
  for (int key = all.from; key < all.to; key += kSide) {
    const int keys = within(all.to - key);
    __syncthreads();
    plain.fetch(k, p.k, p.kvHeads, kvHead, keyRow + key, keys);
    plain.fetch(v, p.v, p.kvHeads, kvHead, keyRow + key, keys);
    __syncthreads();
    for (int e = t; e < kSide * kSide; e += kBlockThreads) {
      const int i = e / kSide, j = e % kSide;
      scores[e] = plain.dot(q + i * plain.stride, k + j * plain.stride) * p.scale;
    }
    __syncthreads();
    if (t < kSide) {
      const Keys seen = keysOf(p, batch, query + t);
      float top = tops[t], total = 0;
      for (int j = 0; j < kSide; j++) {
        if (seen.see(key + j) && scores[t * kSide + j] > top) top = scores[t * kSide + j];
      }
      const float shrink = tops[t] == top ? 1.0f : expf(tops[t] - top);
      for (int j = 0; j < kSide; j++) {
        float& score = scores[t * kSide + j];
        score = seen.see(key + j) ? expf(score - top) : 0.0f;
        total += score;
      }
      totals[t] = totals[t] * shrink + total;
      tops[t] = top;
      shrinks[t] = shrink;
    }
    __syncthreads();
    for (int e = t; e < kSide * p.headDim; e += kBlockThreads) o[e / p.headDim * plain.stride + e % p.headDim] *= shrinks[e / p.headDim];
    __syncthreads();
    plain.gather(o, scores, false, v);
  }
  __syncthreads();
  if (t < there) {
    const Keys seen = keysOf(p, batch, query + t);
    const bool empty = seen.from >= seen.to;
    p.lse[(row + t) * p.heads + head] = empty ? 0.0f : tops[t] + logf(totals[t]);
    shrinks[t] = empty ? 0.0f : 1.0f / totals[t];
  }
  __syncthreads();
  plain.write(o, p.o, p.heads, head, row, there, shrinks);
}

/** dq of 16 queries of one head. */
TB_KERNEL(attention_plain_queries, 128, AttentionParams) {
  TB_SHARED_BYTES(bytes);
  const Plain plain(p, bytes);
  float *q = plain.tile(0), *dOut = plain.tile(1), *k = plain.tile(2), *v = plain.tile(3), *sums = plain.tile(4);
  float* gradients = plain.extra(5);
  const int head = static_cast<int>(blockIdx.y), batch = static_cast<int>(blockIdx.z), kvHead = head / (p.heads / p.kvHeads);
  const int query = static_cast<int>(blockIdx.x) * kSide, there = within(p.seqQ - query);
  const int64_t row = static_cast<int64_t>(batch) * p.seqQ + query, keyRow = static_cast<int64_t>(batch) * p.seqK;
  const Keys all = keysOfAll(p, batch, query, kSide);
  plain.fetch(q, p.q, p.heads, head, row, there);
  plain.fetch(dOut, p.dOut, p.heads, head, row, there);
  plain.clear(sums);
  for (int key = all.from; key < all.to; key += kSide) {
    const int keys = within(all.to - key);
    __syncthreads();
    plain.fetch(k, p.k, p.kvHeads, kvHead, keyRow + key, keys);
    plain.fetch(v, p.v, p.kvHeads, kvHead, keyRow + key, keys);
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < kSide * kSide; e += kBlockThreads) {
      const int i = e / kSide, j = e % kSide;
      const bool sees = i < there && keysOf(p, batch, query + i).see(key + j);
      const int64_t at = (row + (sees ? i : 0)) * p.heads + head;
      const float share = expf(plain.dot(q + i * plain.stride, k + j * plain.stride) * p.scale - p.lse[at]);
      const float slope = plain.dot(dOut + i * plain.stride, v + j * plain.stride) - p.delta[at];
      gradients[e] = sees ? share * slope * p.scale : 0.0f;
    }
    __syncthreads();
    plain.gather(sums, gradients, false, k);
  }
  __syncthreads();
  plain.write(sums, p.dq, p.heads, head, row, there, nullptr);
}

/** dk and dv of 16 keys of one key head. */
TB_KERNEL(attention_plain_keys, 128, AttentionParams) {
  TB_SHARED_BYTES(bytes);
  const Plain plain(p, bytes);
  float *k = plain.tile(0), *v = plain.tile(1), *q = plain.tile(2), *dOut = plain.tile(3), *dk = plain.tile(4), *dv = plain.tile(5);
  float *shares = plain.extra(6), *gradients = shares + kSide * kSide;
  const int kvHead = static_cast<int>(blockIdx.y), batch = static_cast<int>(blockIdx.z), group = p.heads / p.kvHeads;
  const int key = static_cast<int>(blockIdx.x) * kSide, there = within(p.seqK - key);
  const int64_t row = static_cast<int64_t>(batch) * p.seqQ, keyRow = static_cast<int64_t>(batch) * p.seqK + key;
  plain.fetch(k, p.k, p.kvHeads, kvHead, keyRow, there);
  plain.fetch(v, p.v, p.kvHeads, kvHead, keyRow, there);
  plain.clear(dk);
  plain.clear(dv);
  for (int head = kvHead * group; head < (kvHead + 1) * group; head++) {
    for (int query = 0; query < p.seqQ; query += kSide) {
      const Keys all = keysOfAll(p, batch, query, kSide);
      if (all.from >= key + kSide || key >= all.to) continue;
      const int queries = within(p.seqQ - query);
      __syncthreads();
      plain.fetch(q, p.q, p.heads, head, row + query, queries);
      plain.fetch(dOut, p.dOut, p.heads, head, row + query, queries);
      __syncthreads();
      for (int e = static_cast<int>(threadIdx.x); e < kSide * kSide; e += kBlockThreads) {
        const int i = e / kSide, j = e % kSide;  // query, key
        const bool sees = i < queries && keysOf(p, batch, query + i).see(key + j);
        const int64_t at = (row + query + (sees ? i : 0)) * p.heads + head;
        const float share = expf(plain.dot(q + i * plain.stride, k + j * plain.stride) * p.scale - p.lse[at]);
        const float slope = plain.dot(dOut + i * plain.stride, v + j * plain.stride) - p.delta[at];
        shares[e] = sees ? share : 0.0f;
        gradients[e] = sees ? share * slope * p.scale : 0.0f;
      }
      __syncthreads();
      plain.gather(dv, shares, true, dOut);
      plain.gather(dk, gradients, true, q);
    }
  }
  __syncthreads();
  plain.write(dk, p.dk, p.kvHeads, kvHead, keyRow, there, nullptr);
  plain.write(dv, p.dv, p.kvHeads, kvHead, keyRow, there, nullptr);
}

}  // namespace tunebook::cuda
