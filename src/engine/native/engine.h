// The plain C interface of an engine, the CPU's or the GPU's (cuda/engine.cpp). addon.cpp puts it under Node; anything that can load
// a C library can use it.
//
// A device owns one engine thread, which does jobs in the order they were given, and a pool of threads that share each op.
// Nothing here throws. Jobs answer through `done`, on the engine thread, exactly once.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TB_OK = 0, TB_REFUSED = 1, TB_FAILED = 2, TB_ABORTED = 3, TB_NO_MEMORY = 4 };

typedef struct {
  int code;
  /** Index of the op at fault, or -1. */
  int64_t op;
  /** Position of the operand at fault, inputs first, then outputs; or -1. */
  int operand;
  char message[512];
} tb_status;

typedef struct tb_device tb_device;
typedef struct tb_arena tb_arena;
typedef struct tb_program tb_program;
typedef void (*tb_done)(void* user, const tb_status* status);

/** Names of the instruction sets this machine can use, best first, separated by spaces. */
const char* tb_isas(void);

/**
 * The CUDA engine takes the number of a GPU for `threads`, and the folder of its kernels for `isa`.
 *
 * @param isa - One of tb_isas(), or NULL for the best. NULL is returned when it cannot be, with the reason in `status`.
 */
tb_device* tb_device_create(int threads, const char* isa, tb_status* status);
const char* tb_device_isa(const tb_device* device);
/** Aborts what runs, lets every queued job answer TB_ABORTED, ends the threads, frees the arenas. Blocks for at most one tile. */
void tb_device_destroy(tb_device* device);

/** Zeroed memory aligned to a page, or NULL when the system gives none. */
tb_arena* tb_arena_create(tb_device* device, int64_t bytes, tb_status* status);
/** The memory goes when all earlier jobs are done; later jobs on it fail. The handle stays until tb_arena_release. */
void tb_arena_free(tb_arena* arena);
/** The caller forgets the handle. */
void tb_arena_release(tb_arena* arena);

/** `data` must stay as it is until `done`. */
void tb_write(tb_arena* arena, double offset, const void* data, size_t bytes, tb_done done, void* user);
void tb_read(tb_arena* arena, double offset, void* data, size_t bytes, tb_done done, void* user);

/**
 * Check a serialized Program (program.ts) against eight arenas, of which those it does not use may be NULL.
 * NULL is returned when it is refused, with the reason in `status`.
 */
tb_program* tb_compile(tb_device* device, const void* bytes, size_t count, tb_arena* const* arenas, tb_status* status);
/** `uniforms`: 7 numbers in the order of ops.ts, copied. `abort` is polled until `done`: not 0 stops the run. */
void tb_run(tb_program* program, const double* uniforms, const volatile int32_t* abort, tb_done done, void* user);
void tb_program_release(tb_program* program);

/** FLOP/s of all the device's threads in a loop that only multiplies and adds in registers; pairs: bf16 products where there are any. */
double tb_peak(tb_device* device, int pairs);

/** out[i] = exp(x[i]) as the device's kernels compute it: for tests of its accuracy. */
void tb_exp(const tb_device* device, const float* x, float* out, size_t count);

/**
 * The CUDA engine alone: JSON of what this machine has (no device given), or of a device's memory and meters now (cuda/report.h).
 * Returns the length, which may be more than there is room for.
 */
size_t tb_report(const tb_device* device, char* out, size_t room);

#ifdef __cplusplus
}
#endif
