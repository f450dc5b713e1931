// The engine thread: jobs in the order given, each answered once. It waits for the GPU in blocking calls, so no thread spins.

#include "device.h"

namespace tunebook::cuda {

void Arena::release() {
  if (!place) return;
  core->enter();
  core->driver.release(place);
  place = 0;
}

bool Device::start(Status& status) {
  for (Slot& slot : slots_) {
    if (!core->check(core->driver.hostAllocate(reinterpret_cast<void**>(&slot.place), kSlotBytes, 0), "cuMemHostAlloc", status) ||
        !core->check(core->driver.eventCreate(&slot.event, kEventBlockingSync | kEventNoTiming), "cuEventCreate", status)) {
      return false;
    }
  }
  started_ = pthread_create(&engine_, nullptr, enter, this) == 0;
  return started_ || fail(status, TB_NO_MEMORY, -1, -1, "the system gives no thread");
}

void* Device::enter(void* device) {
  static_cast<Device*>(device)->work();
  return nullptr;
}

Device::~Device() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_.store(true);
  }
  wake_.notify_all();
  if (started_) pthread_join(engine_, nullptr);
  core->enter();
  for (Slot& slot : slots_) {
    if (slot.event) core->driver.eventDestroy(slot.event);
    if (slot.place) core->driver.hostRelease(slot.place);
  }
}

void Device::push(Job job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Device::drain() {
  std::unique_lock<std::mutex> lock(mutex_);
  idle_.wait(lock, [&] { return jobs_.empty() && !busy_; });
}

void Device::work() {
  core->enter();
  while (true) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      busy_ = false;
      if (jobs_.empty()) idle_.notify_all();
      wake_.wait(lock, [&] { return stopping_.load() || !jobs_.empty(); });
      if (jobs_.empty()) break;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_ = true;
    }
    Status status{};
    status.op = status.operand = -1;
    if (stopping_.load() && job.kind != Job::free) fail(status, TB_ABORTED, -1, -1, "the device was disposed");
    else perform(job, status);
    if (job.done) job.done(job.user, &status);
  }
  core->driver.streamSynchronize(core->stream);
}

bool Device::perform(Job& job, Status& status) {
  if (job.kind == Job::run) return execute(job, status);
  if (job.kind == Job::free) {
    core->driver.streamSynchronize(core->stream);  // what was written to it last may still be on its way
    job.arena->release();
    job.arena->freed = true;
    return true;
  }
  if (job.arena->freed) return fail(status, TB_FAILED, -1, -1, "the arena was freed");
  if (job.kind == Job::write) return write(job, status);
  if (job.kind == Job::read) return read(job, status);
  if (job.arena->bytes == 0) return true;
  return core->check(core->driver.fill(job.arena->place, 0, static_cast<size_t>(job.arena->bytes), core->stream), "cuMemsetD8Async", status);
}

Device::Slot* Device::nextSlot(Status& status) {
  Slot& slot = slots_[slot_];
  slot_ = (slot_ + 1) % kSlots;
  if (slot.used && !core->check(core->driver.eventSynchronize(slot.event), "cuEventSynchronize", status)) return nullptr;
  slot.used = true;
  return &slot;
}

/** Done once the bytes have left the caller's memory: whatever comes later finds them in place. */
bool Device::write(Job& job, Status& status) {
  for (size_t at = 0; at < job.bytes; at += kSlotBytes) {
    const size_t bytes = job.bytes - at < kSlotBytes ? job.bytes - at : kSlotBytes;
    Slot* slot = nextSlot(status);
    if (!slot) return false;
    std::memcpy(slot->place, static_cast<const char*>(job.data) + at, bytes);
    const Place to = job.arena->place + static_cast<Place>(job.offset) + at;
    if (!core->check(core->driver.copyIn(to, slot->place, bytes, core->stream), "cuMemcpyHtoDAsync", status) ||
        !core->check(core->driver.eventRecord(slot->event, core->stream), "cuEventRecord", status)) {
      return false;
    }
  }
  return true;
}

bool Device::read(Job& job, Status& status) {
  for (size_t at = 0; at < job.bytes; at += kSlotBytes) {
    const size_t bytes = job.bytes - at < kSlotBytes ? job.bytes - at : kSlotBytes;
    Slot* slot = nextSlot(status);
    if (!slot) return false;
    const Place from = job.arena->place + static_cast<Place>(job.offset) + at;
    if (!core->check(core->driver.copyOut(slot->place, from, bytes, core->stream), "cuMemcpyDtoHAsync", status) ||
        !core->check(core->driver.eventRecord(slot->event, core->stream), "cuEventRecord", status) ||
        !core->check(core->driver.eventSynchronize(slot->event), "cuEventSynchronize", status)) {
      return false;
    }
    std::memcpy(static_cast<char*>(job.data) + at, slot->place, bytes);
  }
  return true;
}

bool Device::execute(Job& job, Status& status) {
  Compiled& compiled = *job.compiled;
  for (int i = 0; i < kArenas; i++) {
    if (compiled.arenas[i] && compiled.arenas[i]->freed) return fail(status, TB_FAILED, -1, -1, "the arena %d was freed", i);
  }
  const Driver& driver = core->driver;
  Facts& pinned = *core->pinned;
  std::memcpy(pinned.uniforms, job.uniforms, sizeof job.uniforms);
  pinned.fault = ~0ull;
  if (!core->check(driver.copyIn(core->facts, &pinned, sizeof pinned, core->stream), "cuMemcpyHtoDAsync", status)) return false;
  const auto cancelled = [&] { return *job.abort != 0 || stopping_.load(std::memory_order_relaxed); };
  if (!compiled.launches.run(cancelled, status)) return false;
  if (cancelled()) return fail(status, TB_ABORTED, -1, -1, "the run was aborted");
  const Place fault = core->facts + offsetof(Facts, fault);
  if (!core->check(driver.copyOut(&pinned.fault, fault, sizeof pinned.fault, core->stream), "cuMemcpyDtoHAsync", status) ||
      !core->check(driver.streamSynchronize(core->stream), "cuStreamSynchronize", status)) {
    return false;
  }
  return pinned.fault == ~0ull || tellFault(compiled, pinned.fault, status);
}

/** In words, which index of which operand leads where; the index is read again. */
bool Device::tellFault(const Compiled& compiled, unsigned long long fault, Status& status) {
  const Op& op = compiled.program.ops[fault >> 40];
  const auto element = static_cast<int64_t>(fault & ((1ull << 40) - 1));
  struct Index {
    int operand;
    const char* name;
    int64_t count;
  };
  const auto indexOf = [&]() -> Index {
    switch (op.code) {
      case tunebook::Code::embedding: return {1, "ids", op.in(0).shape[0]};
      case tunebook::Code::embeddingWeight: return {1, "ids", op.out(0).shape[0]};
      case tunebook::Code::gatherRows: return {1, "rows", op.in(0).shape[0]};
      case tunebook::Code::writeRows: return {1, "rows", op.out(0).shape[0]};
      case tunebook::Code::rope: return {3, "positions", op.in(1).shape[0]};
      case tunebook::Code::headLoss: return {2, "labels", op.in(1).shape[0]};
      case tunebook::Code::attention: return {3, "ranges", op.in(1).shape[0] / op.whole(0)};
      default: return {6, "ranges", op.in(2).shape[0] / op.whole(0)};
    }
  };
  const Index index = indexOf();
  const bool pair = std::strcmp(index.name, "ranges") == 0;
  int32_t* values = reinterpret_cast<int32_t*>(core->pinned);
  const Place from = reinterpret_cast<Place>(op.operands[index.operand].data) + static_cast<Place>(element) * (pair ? 8 : 4);
  if (!core->check(core->driver.copyOut(values, from, pair ? 8 : 4, core->stream), "cuMemcpyDtoHAsync", status) ||
      !core->check(core->driver.streamSynchronize(core->stream), "cuStreamSynchronize", status)) {
    return false;
  }
  const auto at = static_cast<long long>(element), count = static_cast<long long>(index.count);
  if (pair) {
    return fail(status, TB_FAILED, op.index, index.operand, "ranges[%lld] is [%d, %d), expected to lie in [0, %lld)", at, values[0],
                values[1], count);
  }
  return fail(status, TB_FAILED, op.index, index.operand, "%s[%lld] is %d, expected 0 to %lld", index.name, at, values[0], count - 1);
}

}  // namespace tunebook::cuda
