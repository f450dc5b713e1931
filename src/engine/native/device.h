// The device behind the C interface: arenas, compiled programs, and the engine thread with its queue of jobs.
#pragma once

#include <deque>
#include <memory>

#include "run.h"

namespace tunebook {

/** One block of memory. `base` belongs to the engine thread. */
struct Arena {
  explicit Arena(int64_t size) : bytes(size) {}
  ~Arena() { unmap(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /** Zeroed pages; false when the system gives none. */
  bool map();
  void unmap();

  const int64_t bytes;
  char* base = nullptr;
  bool freed = false;
};

/** A Program whose operands have been found in arenas. */
struct Compiled {
  Program program;
  std::shared_ptr<Arena> arenas[kArenas];
};

struct Job {
  enum Kind { write, read, run, free } kind = free;
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
  Device(int threads, const KernelSet& kernels) : kernels(kernels), pool_(threads) {}
  ~Device();

  /** False when the system gives no thread. */
  bool start();
  void push(Job job);
  int threads() const { return pool_.threads(); }
  /** As tb_peak; runs on the calling thread and the pool, so nothing else may run meanwhile. */
  double peak(bool pairs);

  const KernelSet& kernels;

 private:
  static void* enter(void* device);
  void work();
  void perform(Job& job, Status& status);
  void execute(Job& job, Status& status);

  Pool pool_;
  pthread_t engine_ = {};
  bool started_ = false;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
};

}  // namespace tunebook
