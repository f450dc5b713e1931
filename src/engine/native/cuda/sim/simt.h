// CUDA's words for g++: the threads of a block are fibers that take turns, so every kernel runs and is tested without a GPU.
// Kept small on purpose: only what the kernels use. Next to read: block.h, who runs when.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "../../numeric.h"
#include "block.h"

#define TB_DEVICE inline
#define TB_SHARED(T, name, count)                                                                   \
  static char name##Key;                                                                            \
  T* const name = static_cast<T*>(tunebook::cuda::simt::sharedPart(&name##Key, sizeof(T) * (count)))
#define TB_SHARED_BYTES(name) unsigned char* const name = tunebook::cuda::simt::current().dynamicShared
#define TB_KERNEL(name, threads, Params)                                                            \
  static void name(const Params& p);                                                                \
  static const tunebook::cuda::simt::Registered name##Registered(                                   \
      #name, threads, sizeof(Params), [](const void* given) { name(*static_cast<const Params*>(given)); }); \
  static void name(const Params& p)

#define threadIdx (tunebook::cuda::simt::current().thread->index)
#define blockIdx (tunebook::cuda::simt::current().block)
#define blockDim (tunebook::cuda::simt::current().blockSize)
#define gridDim (tunebook::cuda::simt::current().gridSize)

namespace tunebook::cuda {

using tunebook::bf16;
using tunebook::f16;
using tunebook::narrow;
using tunebook::widen;

inline uint32_t packPair(float low, float high, bf16) { return toBf16(low).bits | uint32_t{toBf16(high).bits} << 16; }
inline uint32_t packPair(float low, float high, f16) { return toF16(low).bits | uint32_t{toF16(high).bits} << 16; }
inline float power2(float x) { return std::exp2(x); }

struct float4 {
  float x, y, z, w;
};
struct uint4 {
  uint32_t x, y, z, w;
};

inline void __syncthreads() { simt::waitForBlock(); }
inline void __syncwarp() { simt::waitForWarp(); }

/** Every lane gives a value and takes that of another. */
template <class T>
inline T __shfl_xor_sync(unsigned, T value, int mask) {
  T taken;
  const auto* given = simt::exchange(&value, sizeof value);
  std::memcpy(&taken, given->lanes[simt::laneNow() ^ static_cast<unsigned>(mask)], sizeof taken);
  return taken;
}

template <class T>
inline T __shfl_sync(unsigned, T value, int lane) {
  T taken;
  const auto* given = simt::exchange(&value, sizeof value);
  std::memcpy(&taken, given->lanes[lane], sizeof taken);
  return taken;
}

inline void atomicMin(unsigned long long* place, unsigned long long value) {
  if (value < *place) *place = value;
}

}  // namespace tunebook::cuda
