// The C interface under Node: handles, promises, and the way back from the engine thread to the JS thread. Called by src/engine/addon.ts only.

#include <napi.h>

#include <algorithm>
#include <memory>
#include <string>

#include "engine.h"

namespace {

/** Writes up to this size are copied at once; larger ones are copied by the engine thread from the caller's memory. */
constexpr size_t kCopiedAtOnce = 8 << 20;

/** A device and its way back to JavaScript. Closed once: by dispose, by the collector, or by the end of the environment. */
struct Handle {
  tb_device* device = nullptr;
  napi_env env = nullptr;
  napi_threadsafe_function answers = nullptr;
  int pending = 0;

  ~Handle() { close(); }

  void close() {
    if (!device) return;
    tb_device_destroy(device);
    device = nullptr;
    napi_remove_env_cleanup_hook(env, atExit, this);
    napi_release_threadsafe_function(answers, napi_tsfn_release);
  }

  /** The environment ends: threads must be gone before its memory is. The function for answers is taken down by Node. */
  static void atExit(void* handle) {
    auto* self = static_cast<Handle*>(handle);
    tb_device_destroy(self->device);
    self->device = nullptr;
  }
};

struct ArenaHandle {
  std::shared_ptr<Handle> handle;
  tb_arena* arena = nullptr;
  bool freed = false;

  void free() {
    if (!freed && handle->device) tb_arena_free(arena);
    freed = true;
  }
  ~ArenaHandle() {
    free();
    tb_arena_release(arena);
  }
};

struct ProgramHandle {
  std::shared_ptr<Handle> handle;
  tb_program* program = nullptr;
  ~ProgramHandle() { tb_program_release(program); }
};

/** A job on its way: what must stay alive until it is done, and the promise it settles. */
struct Pending {
  std::shared_ptr<Handle> handle;
  Napi::Promise::Deferred deferred;
  /** Memory that the engine reads or writes; for a read, also the result. */
  Napi::ObjectReference held;
  std::unique_ptr<uint8_t[]> copy;
  bool givesHeld = false;
  tb_status status = {};
};

Napi::Error errorOf(Napi::Env env, const tb_status& status) {
  Napi::Error error = Napi::Error::New(env, status.message);
  error.Set("code", Napi::Number::New(env, status.code));
  error.Set("op", Napi::Number::New(env, static_cast<double>(status.op)));
  error.Set("operand", Napi::Number::New(env, status.operand));
  return error;
}

/** On the JS thread. */
void settle(napi_env raw, napi_value, void*, void* given) {
  std::unique_ptr<Pending> job(static_cast<Pending*>(given));
  if (!raw) return;
  Napi::Env env(raw);
  Napi::HandleScope scope(env);
  Handle& handle = *job->handle;
  if (--handle.pending == 0 && handle.device) napi_unref_threadsafe_function(env, handle.answers);
  if (job->status.code != TB_OK) job->deferred.Reject(errorOf(env, job->status).Value());
  else if (job->givesHeld) job->deferred.Resolve(job->held.Value());
  else job->deferred.Resolve(env.Undefined());
}

/** On the engine thread. When the environment is ending nobody waits any more, and its values may not be touched from here. */
void answer(void* given, const tb_status* status) {
  auto* job = static_cast<Pending*>(given);
  job->status = *status;
  napi_call_threadsafe_function(job->handle->answers, job, napi_tsfn_nonblocking);
}

Pending* begin(Napi::Env env, const std::shared_ptr<Handle>& handle) {
  if (handle->pending++ == 0) napi_ref_threadsafe_function(env, handle->answers);
  return new Pending{handle, Napi::Promise::Deferred::New(env), {}, nullptr, false, {}};
}

template <class T>
T& handleOf(const Napi::Value& value) {
  return *value.As<Napi::External<T>>().Data();
}

using DeviceExternal = std::shared_ptr<Handle>;

Napi::Value throwStatus(Napi::Env env, const tb_status& status) {
  errorOf(env, status).ThrowAsJavaScriptException();
  return env.Undefined();
}

/** False, with an exception, when the device is gone. */
bool isOpen(Napi::Env env, const Handle& handle) {
  if (!handle.device) Napi::Error::New(env, "the device was disposed").ThrowAsJavaScriptException();
  return handle.device != nullptr;
}

Napi::Value isas(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), tb_isas()); }

/** create(threads, isa | undefined) */
Napi::Value create(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string isa = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
  tb_status status = {};
  tb_device* device = tb_device_create(info[0].As<Napi::Number>().Int32Value(), isa.empty() ? nullptr : isa.c_str(), &status);
  if (!device) return throwStatus(env, status);
  auto handle = std::make_shared<Handle>();
  handle->env = env;
  handle->device = device;
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "tunebook engine"), 0, 1, nullptr, nullptr, nullptr,
                                  settle, &handle->answers);
  napi_unref_threadsafe_function(env, handle->answers);
  napi_add_env_cleanup_hook(env, Handle::atExit, handle.get());
  return Napi::External<DeviceExternal>::New(env, new DeviceExternal(handle), [](Napi::Env, DeviceExternal* held) { delete held; });
}

Napi::Value isaOf(const Napi::CallbackInfo& info) {
  const Handle& handle = *handleOf<DeviceExternal>(info[0]);
  if (!isOpen(info.Env(), handle)) return info.Env().Undefined();
  return Napi::String::New(info.Env(), tb_device_isa(handle.device));
}

void dispose(const Napi::CallbackInfo& info) { handleOf<DeviceExternal>(info[0])->close(); }

/** allocate(device, bytes) */
Napi::Value allocate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& handle = handleOf<DeviceExternal>(info[0]);
  if (!isOpen(env, *handle)) return env.Undefined();
  tb_status status = {};
  tb_arena* arena = tb_arena_create(handle->device, info[1].As<Napi::Number>().Int64Value(), &status);
  if (!arena) return throwStatus(env, status);
  auto* held = new ArenaHandle{handle, arena};
  return Napi::External<ArenaHandle>::New(env, held, [](Napi::Env, ArenaHandle* gone) { delete gone; });
}

void freeArena(const Napi::CallbackInfo& info) { handleOf<ArenaHandle>(info[0]).free(); }

/** write(arena, offset, Uint8Array) */
Napi::Value write(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& arena = handleOf<ArenaHandle>(info[0]);
  if (!isOpen(env, *arena.handle)) return env.Undefined();
  const auto data = info[2].As<Napi::Uint8Array>();
  const size_t bytes = data.ByteLength();
  Pending* job = begin(env, arena.handle);
  const Napi::Promise promise = job->deferred.Promise();
  const uint8_t* from = data.Data();
  if (bytes <= kCopiedAtOnce) {
    job->copy.reset(new uint8_t[bytes]);
    if (bytes > 0) std::memcpy(job->copy.get(), from, bytes);
    from = job->copy.get();
  } else {
    job->held = Napi::Persistent(data.As<Napi::Object>());
  }
  tb_write(arena.arena, info[1].As<Napi::Number>().DoubleValue(), from, bytes, answer, job);
  return promise;
}

/** read(arena, offset, bytes) -> Uint8Array */
Napi::Value read(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& arena = handleOf<ArenaHandle>(info[0]);
  if (!isOpen(env, *arena.handle)) return env.Undefined();
  const auto bytes = static_cast<size_t>(info[2].As<Napi::Number>().Int64Value());
  auto data = Napi::Uint8Array::New(env, bytes);
  if (env.IsExceptionPending()) return env.Undefined();
  Pending* job = begin(env, arena.handle);
  const Napi::Promise promise = job->deferred.Promise();
  job->held = Napi::Persistent(data.As<Napi::Object>());
  job->givesHeld = true;
  tb_read(arena.arena, info[1].As<Napi::Number>().DoubleValue(), data.Data(), bytes, answer, job);
  return promise;
}

/** compile(device, Uint8Array, [arena | undefined, 8 times]) */
Napi::Value compile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& handle = handleOf<DeviceExternal>(info[0]);
  if (!isOpen(env, *handle)) return env.Undefined();
  const auto bytes = info[1].As<Napi::Uint8Array>();
  const auto list = info[2].As<Napi::Array>();
  tb_arena* arenas[8] = {};
  for (uint32_t i = 0; i < 8; i++) {
    const Napi::Value arena = list.Get(i);
    if (arena.IsExternal()) arenas[i] = handleOf<ArenaHandle>(arena).arena;
  }
  tb_status status = {};
  status.op = status.operand = -1;
  tb_program* program = tb_compile(handle->device, bytes.Data(), bytes.ByteLength(), arenas, &status);
  if (!program) return throwStatus(env, status);
  auto* held = new ProgramHandle{handle, program};
  return Napi::External<ProgramHandle>::New(env, held, [](Napi::Env, ProgramHandle* gone) { delete gone; });
}

/** release(program): what it holds goes once no run of it is under way, without waiting for the collector. */
void release(const Napi::CallbackInfo& info) {
  auto& handle = handleOf<ProgramHandle>(info[0]);
  tb_program_release(handle.program);
  handle.program = nullptr;
}

/** run(program, Float64Array(7), Int32Array(1)) */
Napi::Value run(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& program = handleOf<ProgramHandle>(info[0]);
  if (!isOpen(env, *program.handle)) return env.Undefined();
  if (!program.program) {
    Napi::Error::New(env, "the program was released").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto uniforms = info[1].As<Napi::Float64Array>();
  auto abort = info[2].As<Napi::Int32Array>();
  Pending* job = begin(env, program.handle);
  const Napi::Promise promise = job->deferred.Promise();
  job->held = Napi::Persistent(abort.As<Napi::Object>());
  tb_run(program.program, uniforms.Data(), abort.Data(), answer, job);
  return promise;
}

#ifdef TB_CUDA

/** report(device | undefined) -> string of JSON */
Napi::Value report(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const tb_device* device = nullptr;
  if (info[0].IsExternal()) {
    const Handle& handle = *handleOf<DeviceExternal>(info[0]);
    if (!isOpen(env, handle)) return env.Undefined();
    device = handle.device;
  }
  std::string text(tb_report(device, nullptr, 0), '\0');
  text.resize(std::min(text.size(), tb_report(device, &text[0], text.size() + 1)));
  return Napi::String::New(env, text);
}

#else

/** peak(device, pairs) -> FLOP/s. Blocks: for benches. */
Napi::Value peak(const Napi::CallbackInfo& info) {
  const Handle& handle = *handleOf<DeviceExternal>(info[0]);
  if (!isOpen(info.Env(), handle)) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), tb_peak(handle.device, info[1].As<Napi::Boolean>().Value()));
}

/** exp(device, Float32Array) -> Float32Array. Blocks: for tests. */
Napi::Value exponentials(const Napi::CallbackInfo& info) {
  const Handle& handle = *handleOf<DeviceExternal>(info[0]);
  if (!isOpen(info.Env(), handle)) return info.Env().Undefined();
  const auto x = info[1].As<Napi::Float32Array>();
  auto out = Napi::Float32Array::New(info.Env(), x.ElementLength());
  tb_exp(handle.device, x.Data(), out.Data(), x.ElementLength());
  return out;
}

#endif

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("isas", Napi::Function::New<isas>(env));
  exports.Set("create", Napi::Function::New<create>(env));
  exports.Set("isaOf", Napi::Function::New<isaOf>(env));
  exports.Set("dispose", Napi::Function::New<dispose>(env));
  exports.Set("allocate", Napi::Function::New<allocate>(env));
  exports.Set("free", Napi::Function::New<freeArena>(env));
  exports.Set("write", Napi::Function::New<write>(env));
  exports.Set("read", Napi::Function::New<read>(env));
  exports.Set("compile", Napi::Function::New<compile>(env));
  exports.Set("release", Napi::Function::New<release>(env));
  exports.Set("run", Napi::Function::New<run>(env));
#ifdef TB_CUDA
  exports.Set("report", Napi::Function::New<report>(env));
#else
  exports.Set("peak", Napi::Function::New<peak>(env));
  exports.Set("exp", Napi::Function::New<exponentials>(env));
#endif
  return exports;
}

}  // namespace

NODE_API_MODULE(tunebook, initialize)
