// Frozen matrices in 8 or 4 bits: how codes and scales lie in one buffer. The same layout and formulas as quantized.ts, which explains
// them. Who reads them in products: gemm/quantized.h.
#pragma once

#include "numeric.h"

namespace tunebook {

/** Numbers of a row that share a scale in 4 bits. */
constexpr int64_t kGroup = 64;
constexpr int64_t kScalesAlignment = 64;

/** Places in the buffer of a matrix [rows, columns], in bytes from its start: codes, then f32 scales [rows], then u8 factors [rows, groups]. */
struct QuantizedLayout {
  int64_t rowBytes, groups, scales, factors, bytes;
};

constexpr QuantizedLayout quantizedLayout(DType type, int64_t rows, int64_t columns) {
  const bool wide = type == DType::i8;
  const int64_t rowBytes = wide ? columns : (columns + 1) / 2, groups = wide ? 0 : (columns + kGroup - 1) / kGroup;
  const int64_t scales = (rows * rowBytes + kScalesAlignment - 1) / kScalesAlignment * kScalesAlignment;
  return {rowBytes, groups, scales, scales + 4 * rows, scales + 4 * rows + rows * groups};
}

/** What a code of 4 bits stands for, before its scale. nf4: Dettmers et al. 2023, appendix E. */
alignas(64) constexpr float kWholeLevels[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
alignas(64) constexpr float kNormalLevels[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/** (c / 255)²: the scale of a group as a part of its row's. */
struct Factors {
  float of[256] = {};
  constexpr Factors() {
    for (int c = 0; c < 256; c++) of[c] = static_cast<float>(c * c) / 65025.0f;
  }
};
constexpr Factors kFactors;

}  // namespace tunebook
