// The pool's protocol. A run is published in three steps: its task into a slot, the slot's tag, then the ticket from which tiles are claimed.

#include "pool.h"

#include <sched.h>

namespace tunebook {
namespace {

/** Turns of the waiting loop before a thread parks: about 20 to 50 microseconds, longer than the gap between two ops. */
constexpr int kSpins = 1000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Pool::Pool(int threads) {
  for (int thread = 1; thread < threads; thread++) {
    auto* worker = new Worker{this, thread, {}};
    if (pthread_create(&worker->handle, nullptr, enter, worker) != 0) {
      delete worker;
      break;
    }
    workers_.push_back(worker);
  }
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (Worker* worker : workers_) {
    pthread_join(worker->handle, nullptr);
    delete worker;
  }
}

void* Pool::enter(void* worker) {
  auto* self = static_cast<Worker*>(worker);
  self->pool->work(self->thread);
  return nullptr;
}

void Pool::work(int thread) {
  uint32_t seen = 0;
  while (true) {
    seen = awaitRun(seen);
    if (stop_.load()) return;
    claim(thread);
  }
}

uint32_t Pool::awaitRun(uint32_t seen) {
  for (int spin = 0; spin < kSpins; spin++) {
    const auto run = static_cast<uint32_t>(ticket_.load(std::memory_order_acquire) >> 32);
    if (run != seen || stop_.load(std::memory_order_relaxed)) return run;
    pause();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  // The order matters: run() writes the ticket, then reads `parked_`; here it is the other way round, so one of both sees the other.
  parked_.fetch_add(1);
  uint32_t run = seen;
  wake_.wait(lock, [&] {
    run = static_cast<uint32_t>(ticket_.load() >> 32);
    return run != seen || stop_.load();
  });
  parked_.fetch_sub(1);
  return run;
}

void Pool::claim(int thread) {
  while (true) {
    const uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel);
    const uint64_t run = ticket >> 32, tile = ticket & 0xffffffffu;
    Slot& slot = slots_[run & 1];
    const uint64_t tag = slot.tag.load(std::memory_order_acquire);
    // A tag of another run means that the claimed run ended long ago; a tile beyond the count, that it has no more to give.
    // Otherwise the run cannot end before this tile does, so the slot's task stays what it is.
    if (tag >> 32 != run || tile >= (tag & 0xffffffffu)) return;
    slot.task(slot.context, static_cast<int64_t>(tile), thread);
    done_.fetch_add(1, std::memory_order_release);
  }
}

void Pool::run(int64_t count, Task task, void* context) {
  constexpr int64_t kMostAtOnce = 0x40000000;
  if (count <= 0) return;
  if (workers_.empty() || count == 1 || count > kMostAtOnce) {
    for (int64_t i = 0; i < count; i++) task(context, i, 0);
    return;
  }
  const uint64_t run = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  Slot& slot = slots_[run & 1];
  slot.tag.store(0, std::memory_order_relaxed);
  slot.task = task;
  slot.context = context;
  done_.store(0, std::memory_order_relaxed);
  slot.tag.store((run & 0xffffffffu) << 32 | static_cast<uint64_t>(count), std::memory_order_release);
  ticket_.store(run << 32);
  if (parked_.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }
  claim(0);
  for (int spin = 0; done_.load(std::memory_order_acquire) < count; spin++) {
    if (spin < kSpins) pause();
    else sched_yield();
  }
}

}  // namespace tunebook
