// The CUDA device behind the C interface: arenas, compiled programs, and the engine thread that gives the GPU its work in order.
// Next to read: engine.cpp.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "launches.h"

namespace tunebook::cuda {

/** One block of the GPU's memory. */
struct Arena {
  Arena(std::shared_ptr<Core> core, int64_t bytes) : core(std::move(core)), bytes(bytes) {}
  ~Arena() { release(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  Code take() { return bytes == 0 ? kSuccess : core->driver.allocate(&place, static_cast<size_t>(bytes)); }
  void release();

  const std::shared_ptr<Core> core;
  const int64_t bytes;
  Place place = 0;
  /** Set by the engine thread. */
  bool freed = false;
};

/** A Program whose operands have been found in arenas, and its launches. */
struct Compiled {
  Compiled(const std::shared_ptr<Core>& core, Status& status) : launches(core, status) {}
  Program program;
  std::shared_ptr<Arena> arenas[kArenas];
  Launches launches;
};

struct Job {
  enum Kind { zero, write, read, run, free } kind = free;
  std::shared_ptr<Arena> arena;
  int64_t offset = 0;
  void* data = nullptr;
  size_t bytes = 0;
  std::shared_ptr<Compiled> compiled;
  double uniforms[kUniforms] = {};
  const volatile int32_t* abort = nullptr;
  tb_done done = nullptr;
  void* user = nullptr;
};

class Device {
 public:
  explicit Device(std::shared_ptr<Core> core) : core(std::move(core)) {}
  ~Device();

  bool start(Status& status);
  void push(Job job);
  /** Returns when every job pushed so far is done. */
  void drain();

  const std::shared_ptr<Core> core;

 private:
  /** Pinned memory that bytes pass through on their way; `used` once a copy from it was asked for. */
  struct Slot {
    char* place = nullptr;
    Event event = nullptr;
    bool used = false;
  };
  static constexpr size_t kSlotBytes = 4 << 20;
  static constexpr int kSlots = 4;

  void work();
  bool perform(Job& job, Status& status);
  bool write(Job& job, Status& status);
  bool read(Job& job, Status& status);
  bool execute(Job& job, Status& status);
  bool tellFault(const Compiled& compiled, unsigned long long fault, Status& status);
  Slot* nextSlot(Status& status);

  static void* enter(void* device);

  pthread_t engine_ = {};
  bool started_ = false;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<Job> jobs_;
  bool busy_ = false;
  Slot slots_[kSlots];
  int slot_ = 0;
};

}  // namespace tunebook::cuda
