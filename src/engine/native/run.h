// What a kernel is given besides its op: threads, uniforms, the wish to stop, and a place to say what went wrong.
#pragma once

#include "pool.h"
#include "program.h"

namespace tunebook {

struct Run {
  Pool& pool;
  const double* uniforms;
  /** Either stops the run: the caller's abort flag, or the end of the device. */
  const volatile int32_t* abort;
  const std::atomic<bool>& stopping;
  Status& status;

  bool cancelled() const { return *abort != 0 || stopping.load(std::memory_order_relaxed); }

  /** body(task, thread) for 0 .. count - 1 on all threads. Tiles that were not begun when the run is cancelled are left out. */
  template <class Body>
  void each(int64_t count, const Body& body) {
    struct Context {
      const Run* run;
      const Body* body;
    } context{this, &body};
    pool.run(
        count,
        [](void* given, int64_t task, int thread) {
          const auto& self = *static_cast<Context*>(given);
          if (!self.run->cancelled()) (*self.body)(task, thread);
        },
        &context);
  }

  /** body(from, to) over pieces of 0 .. count - 1, each of `piece` or fewer. */
  template <class Body>
  void pieces(int64_t count, int64_t piece, const Body& body) {
    each(divideUp(count, piece), [&](int64_t task, int) { body(task * piece, least(count, (task + 1) * piece)); });
  }
};

/** False when a kernel refused what it read; `run.status` then says why. */
using Kernel = bool (*)(const Op& op, Run& run);

/** The kernels of one instruction set. */
struct KernelSet {
  const char* name;
  /** By code; [0] is unused. */
  Kernel kernels[kCodes];
  /** Multiplies and adds in registers for a while, for measuring the most the machine can do; returns the FLOP done. */
  double (*peak)(bool pairs);
  void (*exp)(const float* x, float* out, int64_t count);
};

/** Sets this machine can run, best first, ended by nullptr. */
const KernelSet* const* kernelSets();

}  // namespace tunebook
