// The C interface on top of Device.

#include "engine.h"

#include <cmath>
#include <string>

#include "device.h"

using namespace tunebook;

struct tb_device {
  Device device;
};

struct tb_arena {
  std::shared_ptr<Arena> arena;
  tb_device* device;
};

struct tb_program {
  std::shared_ptr<Compiled> compiled;
  tb_device* device;
};

const char* tb_isas(void) {
  static const std::string& names = *[] {
    auto* list = new std::string;
    for (const KernelSet* const* set = kernelSets(); *set; set++) *list += (list->empty() ? "" : " ") + std::string((*set)->name);
    return list;
  }();
  return names.c_str();
}

tb_device* tb_device_create(int threads, const char* isa, tb_status* status) {
  const KernelSet* const* set = kernelSets();
  while (isa && *set && std::strcmp((*set)->name, isa) != 0) set++;
  if (!*set) {
    fail(*status, TB_REFUSED, -1, -1, "this machine has no instruction set %s, it has: %s", isa, tb_isas());
    return nullptr;
  }
  if (threads < 1 || threads > 1024) {
    fail(*status, TB_REFUSED, -1, -1, "threads is %d, expected 1 to 1024", threads);
    return nullptr;
  }
  auto* created = new tb_device{{threads, **set}};
  if (created->device.threads() == threads && created->device.start()) return created;
  delete created;
  fail(*status, TB_NO_MEMORY, -1, -1, "the system gives no %d threads", threads);
  return nullptr;
}

const char* tb_device_isa(const tb_device* device) { return device->device.kernels.name; }

void tb_device_destroy(tb_device* device) { delete device; }

tb_arena* tb_arena_create(tb_device* device, int64_t bytes, tb_status* status) {
  auto arena = std::make_shared<Arena>(bytes);
  if (arena->map()) return new tb_arena{std::move(arena), device};
  fail(*status, TB_NO_MEMORY, -1, -1, "the system gives no %lld bytes", static_cast<long long>(bytes));
  return nullptr;
}

void tb_arena_free(tb_arena* arena) {
  Job job;
  job.kind = Job::free;
  job.arena = arena->arena;
  arena->device->device.push(std::move(job));
}

void tb_arena_release(tb_arena* arena) { delete arena; }

static void transfer(Job::Kind kind, tb_arena* arena, double offset, void* data, size_t bytes, tb_done done, void* user) {
  const double size = static_cast<double>(arena->arena->bytes);
  const double end = offset + static_cast<double>(bytes);
  if (!(offset >= 0 && offset == std::floor(offset) && end <= size)) {
    tb_status status{};
    fail(status, TB_REFUSED, -1, -1, "%zu bytes at %.17g leave the arena, which has %.17g", bytes, offset, size);
    return done(user, &status);
  }
  Job job;
  job.kind = kind;
  job.arena = arena->arena;
  job.offset = static_cast<int64_t>(offset);
  job.data = data;
  job.bytes = bytes;
  job.done = done;
  job.user = user;
  arena->device->device.push(std::move(job));
}

void tb_write(tb_arena* arena, double offset, const void* data, size_t bytes, tb_done done, void* user) {
  transfer(Job::write, arena, offset, const_cast<void*>(data), bytes, done, user);
}

void tb_read(tb_arena* arena, double offset, void* data, size_t bytes, tb_done done, void* user) {
  transfer(Job::read, arena, offset, data, bytes, done, user);
}

tb_program* tb_compile(tb_device* device, const void* bytes, size_t count, tb_arena* const* arenas, tb_status* status) {
  auto compiled = std::make_shared<Compiled>();
  Program& program = compiled->program;
  if (!decode(static_cast<const uint8_t*>(bytes), count, device->device.threads(), program, *status)) return nullptr;
  for (int i = 0; i < kArenas; i++) {
    const int64_t size = arenas[i] ? arenas[i]->arena->bytes : 0;
    if (arenas[i] && arenas[i]->device != device) {
      fail(*status, TB_REFUSED, -1, -1, "arena %d was not allocated by this device", i);
      return nullptr;
    }
    if (size < program.arenaBytes[i]) {
      fail(*status, TB_REFUSED, -1, -1, "needs %lld bytes of arena %d, got %lld", static_cast<long long>(program.arenaBytes[i]), i,
           static_cast<long long>(size));
      return nullptr;
    }
    if (arenas[i]) compiled->arenas[i] = arenas[i]->arena;
  }
  // An arena that was freed is unmapped by the engine thread, in turn with the runs, and a run on it is refused before its first op.
  auto base = [&](int arena) { return compiled->arenas[arena] ? compiled->arenas[arena]->base : nullptr; };
  for (Op& op : program.ops) {
    for (Operand& operand : op.operands) {
      if (operand.present) operand.data = base(operand.arena) + operand.offset;
    }
    if (op.workspaceBytes > 0) op.workspace = base(kWorkspace) + op.workspaceOffset;
  }
  return new tb_program{std::move(compiled), device};
}

void tb_run(tb_program* program, const double* uniforms, const volatile int32_t* abort, tb_done done, void* user) {
  Job job;
  job.kind = Job::run;
  job.compiled = program->compiled;
  std::memcpy(job.uniforms, uniforms, sizeof job.uniforms);
  job.abort = abort;
  job.done = done;
  job.user = user;
  program->device->device.push(std::move(job));
}

void tb_program_release(tb_program* program) { delete program; }

double tb_peak(tb_device* device, int pairs) { return device->device.peak(pairs != 0); }

void tb_exp(const tb_device* device, const float* x, float* out, size_t count) {
  device->device.kernels.exp(x, out, static_cast<int64_t>(count));
}
