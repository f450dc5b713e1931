// A square of 32-bit words turned around its diagonal, in registers.
#pragma once

#include "../simd.h"

namespace tunebook::TB_ISA {

#if defined(__AVX512F__)

static inline void transpose(Words32 (&rows)[16]) {
  __m512i a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) a[i] = (__m512i)rows[i];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  // a[4g + c] holds, in its quarter q, column 4q + c of rows 4g .. 4g + 3: now quarters are gathered.
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
    const __m512i low = _mm512_shuffle_i32x4(a[c], a[4 + c], 0x88), lowOdd = _mm512_shuffle_i32x4(a[c], a[4 + c], 0xdd);
    const __m512i high = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0x88), highOdd = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0xdd);
    rows[c] = (Words32)_mm512_shuffle_i32x4(low, high, 0x88);
    rows[8 + c] = (Words32)_mm512_shuffle_i32x4(low, high, 0xdd);
    rows[4 + c] = (Words32)_mm512_shuffle_i32x4(lowOdd, highOdd, 0x88);
    rows[12 + c] = (Words32)_mm512_shuffle_i32x4(lowOdd, highOdd, 0xdd);
  }
}

#elif defined(__AVX2__)

static inline void transpose(Words32 (&rows)[8]) {
  __m256i a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) a[i] = (__m256i)rows[i];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
    rows[c] = (Words32)_mm256_permute2x128_si256(a[c], a[4 + c], 0x20);
    rows[4 + c] = (Words32)_mm256_permute2x128_si256(a[c], a[4 + c], 0x31);
  }
}

#else

static inline void transpose(Words32 (&rows)[kLanes]) {
  uint32_t from[kLanes][kLanes], to[kLanes][kLanes];
  std::memcpy(from, rows, sizeof from);
  for (int r = 0; r < kLanes; r++) {
    for (int c = 0; c < kLanes; c++) to[c][r] = from[r][c];
  }
  std::memcpy(rows, to, sizeof to);
}

#endif

}  // namespace tunebook::TB_ISA
