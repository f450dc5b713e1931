// Which sets of kernels were built, and which of them this machine can run.

#include "run.h"

namespace tunebook {

namespace portable {
extern const KernelSet kernelSet;
}
#if defined(__x86_64__)
namespace avx2 {
extern const KernelSet kernelSet;
}
namespace avx512 {
extern const KernelSet kernelSet;
}
namespace avx512bf16 {
extern const KernelSet kernelSet;
}
#endif

const KernelSet* const* kernelSets() {
  static const KernelSet* sets[5] = {};
  if (sets[0]) return sets;
  int count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool products = wide && __builtin_cpu_supports("avx512bf16");
  // AMD's bf16 products do twice the work of f32 ones; Intel's do half (Sapphire Rapids: 112 against 225 GFLOP/s a core).
  const bool fast = products && __builtin_cpu_is("amd");
  if (fast) sets[count++] = &avx512bf16::kernelSet;
  if (wide) sets[count++] = &avx512::kernelSet;
  if (products && !fast) sets[count++] = &avx512bf16::kernelSet;
  // Every processor with AVX2 and FMA has F16C as well.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets[count++] = &avx2::kernelSet;
#endif
  sets[count] = &portable::kernelSet;
  return sets;
}

}  // namespace tunebook
