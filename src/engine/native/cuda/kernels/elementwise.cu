// Ops that look at one element at a time: swiglu, add, cast, zero, dropout. Formulas: ops.ts. Each thread does eight.

#include "eight.h"

namespace tunebook::cuda {
namespace {

TB_DEVICE float sigmoid(float v) { return 1.0f / (1.0f + expf(-v)); }

/** body(at) for every eighth element, spread over the grid. */
template <class Body>
TB_DEVICE void eachEight(int64_t count, const Body& body) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * 8;
  for (int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8; at < count; at += step) body(at);
}

/** One round of MurmurHash3's finaliser, as in random.ts. */
TB_DEVICE uint32_t mix(uint32_t h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

}  // namespace

TB_KERNEL(swiglu, 256, ElementParams) {
  withType(p.type, [&](auto zero) {
    using T = decltype(zero);
    eachEight(p.count, [&](int64_t at) {
      float gate[8], up[8], y[8];
      loadEight(static_cast<const T*>(p.a), at, p.count, gate);
      loadEight(static_cast<const T*>(p.b), at, p.count, up);
      for (int i = 0; i < 8; i++) y[i] = gate[i] * sigmoid(gate[i]) * up[i];
      storeEight(static_cast<T*>(p.y), at, p.count, y);
    });
  });
}

TB_KERNEL(swiglu_backward, 256, ElementParams) {
  withType(p.type, [&](auto zero) {
    using T = decltype(zero);
    eachEight(p.count, [&](int64_t at) {
      float dy[8], gate[8], up[8], dGate[8], dUp[8];
      loadEight(static_cast<const T*>(p.a), at, p.count, dy);
      loadEight(static_cast<const T*>(p.b), at, p.count, gate);
      loadEight(static_cast<const T*>(p.c), at, p.count, up);
      for (int i = 0; i < 8; i++) {
        const float s = sigmoid(gate[i]);
        dGate[i] = dy[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s));
        dUp[i] = dy[i] * gate[i] * s;
      }
      storeEight(static_cast<T*>(p.y), at, p.count, dGate);
      storeEight(static_cast<T*>(p.z), at, p.count, dUp);
    });
  });
}

TB_KERNEL(add, 256, ElementParams) {
  withType(p.type, [&](auto zero) {
    using T = decltype(zero);
    eachEight(p.count, [&](int64_t at) {
      float a[8], b[8];
      loadEight(static_cast<const T*>(p.a), at, p.count, a);
      loadEight(static_cast<const T*>(p.b), at, p.count, b);
      for (int i = 0; i < 8; i++) a[i] += b[i];
      storeEight(static_cast<T*>(p.y), at, p.count, a);
    });
  });
}

TB_KERNEL(cast, 256, ElementParams) {
  withType(p.type, [&](auto from) {
    withType(p.outType, [&](auto to) {
      eachEight(p.count, [&](int64_t at) {
        float v[8];
        loadEight(static_cast<const decltype(from)*>(p.a), at, p.count, v);
        storeEight(static_cast<decltype(to)*>(p.y), at, p.count, v);
      });
    });
  });
}

/** `count` is in units of 2 bytes, a dtype's least. */
TB_KERNEL(zero, 256, ElementParams) {
  eachEight(p.count, [&](int64_t at) {
    const float nothing[8] = {};
    storeEight(static_cast<bf16*>(p.y), at, p.count, nothing);
  });
}

TB_KERNEL(dropout, 256, ElementParams) {
  // seed, step, micro as in ops.ts: whole numbers of 32 bits.
  uint32_t prefix = 0x9e3779b9u;
  const uint32_t words[4] = {static_cast<uint32_t>(p.uniforms[5]), static_cast<uint32_t>(p.uniforms[1]),
                             static_cast<uint32_t>(p.uniforms[6]), p.stream};
  for (uint32_t word : words) prefix = mix((prefix * 0x01000193u) ^ word);
  const uint32_t start = prefix * 0x01000193u;
  withType(p.type, [&](auto zero) {
    using T = decltype(zero);
    eachEight(p.count, [&](int64_t at) {
      float v[8];
      loadEight(static_cast<const T*>(p.a), at, p.count, v);
      for (int i = 0; i < 8; i++) {
        const uint32_t bits = mix(start ^ static_cast<uint32_t>(at + i)) >> 8;
        v[i] = bits >= p.threshold ? v[i] * p.scale : 0.0f;
      }
      storeEight(static_cast<T*>(p.y), at, p.count, v);
    });
  });
}

}  // namespace tunebook::cuda
