// Eight numbers at a time, 16 bytes of 16-bit ones: what keeps the memory busy in kernels that do little arithmetic.
#pragma once

#include "cuda.h"

namespace tunebook::cuda {

TB_DEVICE void unpack(uint32_t pair, float& low, float& high, bf16) {
  low = widen(bf16{static_cast<uint16_t>(pair)});
  high = widen(bf16{static_cast<uint16_t>(pair >> 16)});
}
TB_DEVICE void unpack(uint32_t pair, float& low, float& high, f16) {
  low = widen(f16{static_cast<uint16_t>(pair)});
  high = widen(f16{static_cast<uint16_t>(pair >> 16)});
}

/** Numbers at .. at + 7 of an operand that has `count`; zeros beyond. Eight at once need `at` a multiple of 8. */
template <class T>
TB_DEVICE void loadEight(const T* from, int64_t at, int64_t count, float (&v)[8]) {
  if (at + 8 <= count) {
    const uint4 packed = *reinterpret_cast<const uint4*>(from + at);
    unpack(packed.x, v[0], v[1], T{});
    unpack(packed.y, v[2], v[3], T{});
    unpack(packed.z, v[4], v[5], T{});
    unpack(packed.w, v[6], v[7], T{});
    return;
  }
  for (int i = 0; i < 8; i++) v[i] = at + i < count ? widen(from[at + i]) : 0.0f;
}
TB_DEVICE void loadEight(const float* from, int64_t at, int64_t count, float (&v)[8]) {
  if (at + 8 <= count) {
    const float4 low = *reinterpret_cast<const float4*>(from + at), high = *reinterpret_cast<const float4*>(from + at + 4);
    v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
    v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    return;
  }
  for (int i = 0; i < 8; i++) v[i] = at + i < count ? from[at + i] : 0.0f;
}

template <class T>
TB_DEVICE void storeEight(T* to, int64_t at, int64_t count, const float (&v)[8]) {
  if (at + 8 <= count) {
    *reinterpret_cast<uint4*>(to + at) = {packPair(v[0], v[1], T{}), packPair(v[2], v[3], T{}), packPair(v[4], v[5], T{}),
                                          packPair(v[6], v[7], T{})};
    return;
  }
  for (int i = 0; i < 8; i++) {
    if (at + i < count) narrow(to[at + i], v[i]);
  }
}
TB_DEVICE void storeEight(float* to, int64_t at, int64_t count, const float (&v)[8]) {
  if (at + 8 <= count) {
    *reinterpret_cast<float4*>(to + at) = {v[0], v[1], v[2], v[3]};
    *reinterpret_cast<float4*>(to + at + 4) = {v[4], v[5], v[6], v[7]};
    return;
  }
  for (int i = 0; i < 8; i++) {
    if (at + i < count) to[at + i] = v[i];
  }
}

/** body(type's zero) with the type that a code stands for. */
template <class Body>
TB_DEVICE void withType(int32_t type, const Body& body) {
  if (type == kF32) body(0.0f);
  else if (type == kBf16) body(bf16{});
  else body(f16{});
}

}  // namespace tunebook::cuda
