// The tensor cores' instructions and asynchronous copies: the only inline PTX but for rounding. sm_80 and newer.
// Which lane holds what: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "ldmatrix".
#pragma once

#include "cuda.h"

namespace tunebook::cuda {

#if defined(__CUDACC__)

TB_DEVICE unsigned sharedAddress(const void* place) { return static_cast<unsigned>(__cvta_generic_to_shared(place)); }

/** d += a b: a [16, 16] and b [16, 8] of 16 bits, d [16, 8] f32. */
TB_DEVICE void multiplyAdd(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, bf16) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
TB_DEVICE void multiplyAdd(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, f16) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** Four 8 x 8 matrices of 16 bits from shared memory: lane l gives the place of row l % 8 of matrix l / 8. */
TB_DEVICE void loadMatrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row)));
}
TB_DEVICE void loadMatricesTurned(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row)));
}

/** 16 bytes to shared memory, later; zeros when not `there`. */
TB_DEVICE void copyAsync(void* to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)), "l"(from), "r"(there ? 16 : 0));
}
TB_DEVICE void closeCopies() { asm volatile("cp.async.commit_group;"); }
template <int left>
TB_DEVICE void awaitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left));
}

#else

/** Number `k` of 2 in a register. */
inline float halfOf(const unsigned char* lane, int reg, int k, bf16) {
  bf16 value;
  std::memcpy(&value, lane + 4 * reg + 2 * k, 2);
  return widen(value);
}
inline float halfOf(const unsigned char* lane, int reg, int k, f16) {
  f16 value;
  std::memcpy(&value, lane + 4 * reg + 2 * k, 2);
  return widen(value);
}

template <class E>
inline void multiplyAdd(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, E type) {
  const uint32_t given[6] = {a[0], a[1], a[2], a[3], b0, b1};
  const auto& lanes = simt::exchange(given, sizeof given)->lanes;
  const unsigned group = simt::laneNow() / 4, quad = simt::laneNow() % 4;
  for (unsigned e = 0; e < 4; e++) {
    const unsigned row = group + e / 2 * 8, column = quad * 2 + e % 2;
    float sum = d[e];
    for (unsigned k = 0; k < 16; k++) {
      const float x = halfOf(lanes[row % 8 * 4 + k % 8 / 2], static_cast<int>(row / 8 + k / 8 * 2), k % 2, type);
      const float y = halfOf(lanes[column * 4 + k % 8 / 2], static_cast<int>(4 + k / 8), k % 2, type);
      sum += x * y;
    }
    d[e] = sum;
  }
}

inline void loadMatrices(uint32_t (&r)[4], const void* row) {
  const auto& lanes = simt::exchange(&row, sizeof row)->lanes;
  const unsigned lane = simt::laneNow();
  for (unsigned i = 0; i < 4; i++) {
    const unsigned char* from;
    std::memcpy(&from, lanes[i * 8 + lane / 4], sizeof from);
    std::memcpy(&r[i], from + lane % 4 * 4, 4);
  }
}
inline void loadMatricesTurned(uint32_t (&r)[4], const void* row) {
  const auto& lanes = simt::exchange(&row, sizeof row)->lanes;
  const unsigned lane = simt::laneNow();
  for (unsigned i = 0; i < 4; i++) {
    unsigned char pair[4];
    for (unsigned j = 0; j < 2; j++) {
      const unsigned char* from;
      std::memcpy(&from, lanes[i * 8 + lane % 4 * 2 + j], sizeof from);
      std::memcpy(pair + 2 * j, from + lane / 4 * 2, 2);
    }
    std::memcpy(&r[i], pair, 4);
  }
}

inline void copyAsync(void* to, const void* from, bool there) { simt::copyLater(to, from, 16, there ? 16 : 0); }
inline void closeCopies() { simt::closeGroup(); }
template <int left>
inline void awaitCopies() {
  simt::waitForGroups(left);
}

#endif

}  // namespace tunebook::cuda
