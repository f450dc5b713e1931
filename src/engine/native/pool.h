// Threads that share the tiles of one op. Tiles are claimed one by one from a counter, so a thread that loses its core delays only its tile.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "numeric.h"

namespace tunebook {

class Pool {
 public:
  using Task = void (*)(void* context, int64_t task, int thread);

  /** The calling thread is thread 0 of every run; `threads - 1` more are started. Fewer when the system refuses. */
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /** Call `task` for 0 .. count - 1, each exactly once, in any order, on any thread; returns when all are done. */
  void run(int64_t count, Task task, void* context);

 private:
  struct Worker {
    Pool* pool;
    int thread;
    pthread_t handle;
  };
  /** A run's task, valid while `tag` holds the run's number and its count of tiles. */
  struct Slot {
    std::atomic<uint64_t> tag{0};
    Task task = nullptr;
    void* context = nullptr;
  };

  static void* enter(void* worker);
  void work(int thread);
  uint32_t awaitRun(uint32_t seen);
  /** Claim and do tiles until none is left. */
  void claim(int thread);

  std::vector<Worker*> workers_;
  Slot slots_[2];
  /** Number of the run in the upper half, next tile in the lower. */
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int> parked_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace tunebook
