// What every kernel file starts with: CUDA C++ from nvcc, or the same words from the simulator for g++. Types, rounding, reductions.
#pragma once

#include "params.h"

#if defined(__CUDACC__)

#define TB_DEVICE __device__ __forceinline__
/** A kernel of one parameter `p`. */
#define TB_KERNEL(name, threads, Params) extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Params p)
#define TB_SHARED(T, name, count) __shared__ T name[count]
/** The block's shared memory whose size the launch says. */
#define TB_SHARED_BYTES(name) extern __shared__ __align__(128) unsigned char name[]

namespace tunebook::cuda {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

TB_DEVICE float widen(float value) { return value; }
TB_DEVICE float widen(bf16 value) { return __uint_as_float(uint32_t{value.bits} << 16); }
TB_DEVICE float widen(f16 value) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
}
/** Two numbers rounded to nearest, ties to even; `low` comes first in memory. */
TB_DEVICE uint32_t packPair(float low, float high, bf16) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
TB_DEVICE uint32_t packPair(float low, float high, f16) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
TB_DEVICE void narrow(float& out, float value) { out = value; }
TB_DEVICE void narrow(bf16& out, float value) { out.bits = static_cast<uint16_t>(packPair(value, 0.0f, bf16{})); }
TB_DEVICE void narrow(f16& out, float value) { out.bits = static_cast<uint16_t>(packPair(value, 0.0f, f16{})); }
/** 2^x to about 2 units in the last place. */
TB_DEVICE float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace tunebook::cuda

#else
#include "../sim/simt.h"
#endif

namespace tunebook::cuda {

constexpr float kLog2e = 1.4426950408889634f;

TB_DEVICE int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
TB_DEVICE int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

/** A number of any floating dtype. */
TB_DEVICE float loadAs(int32_t type, const void* data, int64_t i) {
  if (type == kF32) return static_cast<const float*>(data)[i];
  if (type == kBf16) return widen(static_cast<const bf16*>(data)[i]);
  return widen(static_cast<const f16*>(data)[i]);
}

TB_DEVICE void storeAs(int32_t type, void* data, int64_t i, float value) {
  if (type == kF32) static_cast<float*>(data)[i] = value;
  else if (type == kBf16) narrow(static_cast<bf16*>(data)[i], value);
  else narrow(static_cast<f16*>(data)[i], value);
}

/** A number rounded to the dtype of activations, as it enters a product with them. */
TB_DEVICE float roundedTo(int32_t type, float value) {
  if (type == kF32) return value;
  if (type == kBf16) {
    bf16 half;
    narrow(half, value);
    return widen(half);
  }
  f16 half;
  narrow(half, value);
  return widen(half);
}

/** The sum over a warp, the same bits in every lane. */
template <class T>
TB_DEVICE T warpSum(T value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

/** The largest over a warp; NaN when one is. */
TB_DEVICE float warpMost(float value) {
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, value, step);
    value = other > value || other != other ? other : value;
  }
  return value;
}

/** The sum over a block of up to 1024 threads, the same bits in every thread and in every run. `room`: 32 of T, shared. */
template <class T>
TB_DEVICE T blockSum(T value, T* room) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
  value = warpSum(value);
  __syncthreads();
  if (lane == 0) room[warp] = value;
  __syncthreads();
  return warpSum(lane < warps ? room[lane] : T(0));
}

TB_DEVICE float blockMost(float value, float* room) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
  value = warpMost(value);
  __syncthreads();
  if (lane == 0) room[warp] = value;
  __syncthreads();
  return warpMost(lane < warps ? room[lane] : room[0]);
}

TB_DEVICE void report(const Fault& fault, int64_t element) {
  atomicMin(fault.worst, fault.op << 40 | static_cast<unsigned long long>(element));
}

}  // namespace tunebook::cuda
