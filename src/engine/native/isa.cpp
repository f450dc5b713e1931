// Which sets of kernels were built, and which of them this machine can run.

#include "run.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tunebook {

namespace portable {
extern const KernelSet kernelSet;
}
#if defined(__x86_64__)
// Sets that build.mjs was told to leave out lie at no address.
#define TB_MAYBE __attribute__((weak))
namespace avx2 {
TB_MAYBE extern const KernelSet kernelSet;
}
namespace avx512 {
TB_MAYBE extern const KernelSet kernelSet;
}
namespace avx512bf16 {
TB_MAYBE extern const KernelSet kernelSet;
}
namespace amx {
TB_MAYBE extern const KernelSet kernelSet;
}

/**
 * Whether this process may use AMX: the processor has it, the system saves its state, and gives the permission, which is asked for here,
 * once for all threads, also those to come.
 */
static bool permitTiles() {
#if defined(__linux__)
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;  // leaf 7, edx
  constexpr unsigned kSaved = 3u << 17;                   // configuration and data of tiles, in xcr0
  constexpr long kRequest = 0x1023, kTileData = 18;       // ARCH_REQ_XCOMP_PERM
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kBf16) == 0 || (d & kTile) == 0) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kSaved) == kSaved && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}
#endif

const KernelSet* const* kernelSets() {
  static const KernelSet* sets[6] = {};
  if (sets[0]) return sets;
  int count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool products = wide && __builtin_cpu_supports("avx512bf16");
  // AMD's bf16 products do twice the work of f32 ones; Intel's do half (Sapphire Rapids: 112 against 225 GFLOP/s a core).
  const bool fast = products && __builtin_cpu_is("amd");
  const auto add = [&](bool runs, const KernelSet* set) {
    if (runs && set) sets[count++] = set;
  };
  add(wide && permitTiles(), &amx::kernelSet);
  add(fast, &avx512bf16::kernelSet);
  add(wide, &avx512::kernelSet);
  add(products && !fast, &avx512bf16::kernelSet);
  // Every processor with AVX2 and FMA has F16C as well.
  add(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), &avx2::kernelSet);
#endif
  sets[count] = &portable::kernelSet;
  return sets;
}

}  // namespace tunebook
