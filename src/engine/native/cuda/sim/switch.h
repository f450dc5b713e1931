// From one fiber to another: own assembly where a switch takes nanoseconds, ucontext elsewhere.
#pragma once

#include <cstddef>

namespace tunebook::cuda::simt {

#if defined(__x86_64__) && defined(__linux__)

/** Save the registers that a function must keep on the stack, remember it in `save`, go on with the stack `load`. */
extern "C" void tunebookSwitch(void** save, void* load);

struct Fiber {
  /** The first stack pointer of a fiber that begins in `entry`. */
  static void* prepare(char* stack, size_t bytes, void (*entry)()) {
    void** top = reinterpret_cast<void**>(stack + bytes - 64);
    *--top = nullptr;  // where entry would return to; also makes the stack 16-byte aligned at its call
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    return top;
  }
  static void go(void** save, void* load) { tunebookSwitch(save, load); }
};

#else

#include <ucontext.h>

struct Fiber {
  static void* prepare(char* stack, size_t bytes, void (*entry)()) {
    auto* context = reinterpret_cast<ucontext_t*>(stack);
    getcontext(context);
    const size_t used = (sizeof(ucontext_t) + 63) / 64 * 64;
    context->uc_stack.ss_sp = stack + used;
    context->uc_stack.ss_size = bytes - used;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    return context;
  }
  static void go(void** save, void* load) {
    static thread_local ucontext_t main;
    if (!*save) *save = &main;
    swapcontext(static_cast<ucontext_t*>(*save), static_cast<ucontext_t*>(load));
  }
};

#endif

}  // namespace tunebook::cuda::simt
