// The C interface of engine.h on top of the CUDA device: the same functions as the CPU engine's, so that one addon serves both.
// Where the CPU engine is created with threads and an instruction set, this one is with the number of a GPU and the folder of its kernels.

#include "../engine.h"

#include <cmath>

#include "device.h"
#include "report.h"

using namespace tunebook;
using cuda::Core;

struct tb_device {
  cuda::Device device;
};

struct tb_arena {
  std::shared_ptr<cuda::Arena> arena;
  tb_device* device;
};

struct tb_program {
  std::shared_ptr<cuda::Compiled> compiled;
  tb_device* device;
};

const char* tb_isas(void) { return "cuda"; }

tb_device* tb_device_create(int index, const char* images, tb_status* status) {
  const char* reason = nullptr;
  const cuda::Driver* driver = cuda::openDriver(&reason);
  if (!driver) {
    fail(*status, TB_REFUSED, -1, -1, "%s", reason);
    return nullptr;
  }
  auto core = std::make_shared<Core>(*driver, index);
  if (!core->open(images ? images : "", *status)) return nullptr;
  auto* created = new tb_device{cuda::Device(std::move(core))};
  if (created->device.start(*status)) return created;
  delete created;
  return nullptr;
}

const char* tb_device_isa(const tb_device*) { return "cuda"; }

void tb_device_destroy(tb_device* device) { delete device; }

tb_arena* tb_arena_create(tb_device* device, int64_t bytes, tb_status* status) {
  const Core& core = *device->device.core;
  core.enter();
  auto arena = std::make_shared<cuda::Arena>(device->device.core, bytes);
  cuda::Code code = arena->take();
  if (code == cuda::kOutOfMemory) {
    device->device.drain();  // an arena that was freed goes when its turn has come
    code = arena->take();
  }
  if (!core.check(code, "cuMemAlloc", *status)) return nullptr;
  cuda::Job job;
  job.kind = cuda::Job::zero;
  job.arena = arena;
  device->device.push(std::move(job));
  return new tb_arena{std::move(arena), device};
}

void tb_arena_free(tb_arena* arena) {
  cuda::Job job;
  job.kind = cuda::Job::free;
  job.arena = arena->arena;
  arena->device->device.push(std::move(job));
}

void tb_arena_release(tb_arena* arena) { delete arena; }

static void transfer(cuda::Job::Kind kind, tb_arena* arena, double offset, void* data, size_t bytes, tb_done done, void* user) {
  const double size = static_cast<double>(arena->arena->bytes);
  const double end = offset + static_cast<double>(bytes);
  if (!(offset >= 0 && offset == std::floor(offset) && end <= size)) {
    tb_status status{};
    fail(status, TB_REFUSED, -1, -1, "%zu bytes at %.17g leave the arena, which has %.17g", bytes, offset, size);
    return done(user, &status);
  }
  cuda::Job job;
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
  transfer(cuda::Job::write, arena, offset, const_cast<void*>(data), bytes, done, user);
}

void tb_read(tb_arena* arena, double offset, void* data, size_t bytes, tb_done done, void* user) {
  transfer(cuda::Job::read, arena, offset, data, bytes, done, user);
}

tb_program* tb_compile(tb_device* device, const void* bytes, size_t count, tb_arena* const* arenas, tb_status* status) {
  device->device.core->enter();
  auto compiled = std::make_shared<cuda::Compiled>(device->device.core, *status);
  Program& program = compiled->program;
  if (!decode(static_cast<const uint8_t*>(bytes), count, 1, program, *status)) return nullptr;
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
  auto base = [&](int arena) {
    return reinterpret_cast<char*>(compiled->arenas[arena] ? compiled->arenas[arena]->place : 0);
  };
  for (Op& op : program.ops) {
    for (Operand& operand : op.operands) {
      if (operand.present) operand.data = base(operand.arena) + operand.offset;
    }
    if (op.workspaceBytes > 0) op.workspace = base(kWorkspace) + op.workspaceOffset;
    compiled->launches.begin(op.index);
    if (!cuda::lower(op, compiled->launches)) return nullptr;
  }
  return new tb_program{std::move(compiled), device};
}

void tb_run(tb_program* program, const double* uniforms, const volatile int32_t* abort, tb_done done, void* user) {
  cuda::Job job;
  job.kind = cuda::Job::run;
  job.compiled = program->compiled;
  std::memcpy(job.uniforms, uniforms, sizeof job.uniforms);
  job.abort = abort;
  job.done = done;
  job.user = user;
  program->device->device.push(std::move(job));
}

void tb_program_release(tb_program* program) { delete program; }

size_t tb_report(const tb_device* device, char* out, size_t room) {
  if (device) device->device.core->enter();
  const std::string text = device ? cuda::stateOf(device->device.core->index) : cuda::foundHere();
  return static_cast<size_t>(snprintf(out, room, "%s", text.c_str()));
}
