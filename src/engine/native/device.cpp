// The engine thread: jobs in the order given, each answered once. Memory comes straight from the system, zeroed when first touched.

#include "device.h"

#include <sys/mman.h>

#include <chrono>

namespace tunebook {

bool Arena::map() {
  if (bytes == 0) return true;
  void* pages = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return false;
  base = static_cast<char*>(pages);
#ifdef MADV_HUGEPAGE
  madvise(base, static_cast<size_t>(bytes), MADV_HUGEPAGE);  // fewer misses in the page tables; a system without them ignores it
#endif
  return true;
}

void Arena::unmap() {
  if (base) munmap(base, static_cast<size_t>(bytes));
  base = nullptr;
}

bool Device::start() {
  started_ = pthread_create(&engine_, nullptr, enter, this) == 0;
  return started_;
}

Device::~Device() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_.store(true);
  }
  wake_.notify_all();
  if (started_) pthread_join(engine_, nullptr);
}

void Device::push(Job job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void* Device::enter(void* device) {
  static_cast<Device*>(device)->work();
  return nullptr;
}

void Device::work() {
  while (true) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stopping_.load() || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    Status status{};
    status.op = status.operand = -1;
    if (stopping_.load()) fail(status, TB_ABORTED, -1, -1, "the device was disposed");
    else perform(job, status);
    if (job.done) job.done(job.user, &status);
  }
}

void Device::perform(Job& job, Status& status) {
  if (job.kind == Job::run) return execute(job, status);
  if (job.kind == Job::free) {
    job.arena->unmap();
    job.arena->freed = true;
    return;
  }
  if (job.arena->freed) {
    fail(status, TB_FAILED, -1, -1, "the arena was freed");
    return;
  }
  if (job.bytes == 0) return;
  char* place = job.arena->base + job.offset;
  if (job.kind == Job::write) std::memcpy(place, job.data, job.bytes);
  else std::memcpy(job.data, place, job.bytes);
}

void Device::execute(Job& job, Status& status) {
  const Compiled& compiled = *job.compiled;
  for (int i = 0; i < kArenas; i++) {
    if (compiled.arenas[i] && compiled.arenas[i]->freed) {
      fail(status, TB_FAILED, -1, -1, "the arena %d was freed", i);
      return;
    }
  }
  Run run{pool_, job.uniforms, job.abort, stopping_, status};
  for (const Op& op : compiled.program.ops) {
    if (!run.cancelled() && !kernels.kernels[static_cast<int>(op.code)](op, run)) return;
    if (run.cancelled()) {
      fail(status, TB_ABORTED, op.index, -1, "the run was aborted");
      return;
    }
  }
}

double Device::peak(bool pairs) {
  constexpr int kRounds = 4;
  double best = 0;
  for (int round = 0; round < kRounds; round++) {
    struct Context {
      const KernelSet& kernels;
      bool pairs;
      std::atomic<int64_t> work{0};
    } context{kernels, pairs, {}};
    const auto start = std::chrono::steady_clock::now();
    pool_.run(
        threads() * 4,
        [](void* given, int64_t, int) {
          auto& self = *static_cast<Context*>(given);
          self.work.fetch_add(static_cast<int64_t>(self.kernels.peak(self.pairs)));
        },
        &context);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(context.work.load()) / seconds.count();
    if (rate > best) best = rate;
  }
  return best;
}

}  // namespace tunebook
