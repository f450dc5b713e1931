// Runs a grid block by block. What a GPU would leave undefined ends the process here with a sentence: a barrier that not all threads
// reach, a warp whose lanes part before a collective, more shared memory than asked for.

#include "block.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "switch.h"

#if defined(__x86_64__) && defined(__linux__)
asm(R"(
.text
.globl tunebookSwitch
.hidden tunebookSwitch
.type tunebookSwitch,@function
tunebookSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size tunebookSwitch,.-tunebookSwitch
)");
#endif

namespace tunebook::cuda::simt {
namespace {

constexpr size_t kStackBytes = 128 << 10;
constexpr size_t kSharedBytes = 256 << 10;

struct Part {
  const void* key;
  size_t offset, bytes;
};

struct Machine {
  Current current;
  std::vector<Thread> threads;
  std::vector<char*> stacks;
  std::vector<Exchange> exchanges;  // two per warp
  std::vector<Part> parts;
  unsigned char* shared = nullptr;
  size_t sharedUsed = 0;
  void* scheduler = nullptr;
  const Registered* kernel = nullptr;
  const void* params = nullptr;

  void reserve(unsigned count) {
    threads.resize(count);
    exchanges.resize((count + 31) / 32 * 2);
    while (stacks.size() < count) stacks.push_back(static_cast<char*>(aligned_alloc(4096, kStackBytes)));
    if (!shared) shared = static_cast<unsigned char*>(aligned_alloc(256, kSharedBytes));
  }
};

/** Of this OS thread, kept for good: stacks are used again and again. */
Machine& machine() {
  static thread_local Machine& one = *new Machine;
  return one;
}

[[noreturn]] void stop(const char* what) {
  const Machine& m = machine();
  fprintf(stderr, "simulated GPU: kernel %s, block [%u, %u, %u]: %s\n", m.kernel ? m.kernel->name : "?", m.current.block.x,
          m.current.block.y, m.current.block.z, what);
  abort();
}

void giveUp(Thread::State state) {
  Machine& m = machine();
  Thread& thread = *m.current.thread;
  thread.state = state;
  Fiber::go(&thread.stackPointer, m.scheduler);
}

void enter() {
  Machine& m = machine();
  m.kernel->entry(m.params);
  giveUp(Thread::done);
  stop("a thread ran on after its end");
}

/** Run the lanes of one warp until each waits for its block or is done. */
void runWarp(Machine& m, unsigned first, unsigned last) {
  while (true) {
    for (unsigned i = first; i < last; i++) {
      if (m.threads[i].state != Thread::ready) continue;
      m.current.thread = &m.threads[i];
      Fiber::go(&m.scheduler, m.threads[i].stackPointer);
    }
    unsigned waiting = 0, elsewhere = 0;
    for (unsigned i = first; i < last; i++) {
      waiting += m.threads[i].state == Thread::atWarp;
      elsewhere += m.threads[i].state == Thread::atBlock || m.threads[i].state == Thread::done;
    }
    if (waiting == 0) return;
    if (elsewhere > 0) stop("some lanes of a warp exchange values, others wait for the block or are done");
    for (unsigned i = first; i < last; i++) m.threads[i].state = Thread::ready;
  }
}

void runBlock(Machine& m, unsigned count, size_t sharedBytes, bool reverse) {
  m.parts.clear();
  std::memset(m.shared, 0xff, kSharedBytes < sharedBytes + 4096 ? kSharedBytes : sharedBytes + 4096);
  m.sharedUsed = (sharedBytes + 127) / 128 * 128;
  m.current.dynamicShared = m.shared;
  const Size3 size = m.current.blockSize;
  for (unsigned i = 0; i < count; i++) {
    Thread& thread = m.threads[i];
    thread.state = Thread::ready;
    thread.turn = 0;
    thread.number = i;
    thread.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    thread.copyCount = thread.groupCount = thread.groupsDone = thread.copiesDone = 0;
    // Stacks that ended at the same place of a page would fight for the same lines of the cache.
    thread.stackPointer = Fiber::prepare(m.stacks[i], kStackBytes - i % 61 * 320, enter);
  }
  const unsigned warps = (count + 31) / 32;
  while (true) {
    for (unsigned turn = 0; turn < warps; turn++) {
      const unsigned first = (reverse ? warps - 1 - turn : turn) * 32, last = first + 32 < count ? first + 32 : count;
      runWarp(m, first, last);
    }
    unsigned waiting = 0;
    for (unsigned i = 0; i < count; i++) waiting += m.threads[i].state == Thread::atBlock;
    if (waiting == 0) return;
    if (waiting < count) stop("a barrier that not all threads of the block reach");
    for (unsigned i = 0; i < count; i++) m.threads[i].state = Thread::ready;
  }
}

const Registered*& kernels() {
  static const Registered* first = nullptr;
  return first;
}

}  // namespace

Current& current() { return machine().current; }

void waitForBlock() { giveUp(Thread::atBlock); }
void waitForWarp() { giveUp(Thread::atWarp); }

const Exchange* exchange(const void* value, size_t bytes) {
  Machine& m = machine();
  Thread& thread = *m.current.thread;
  Exchange& slot = m.exchanges[thread.number / 32 * 2 + thread.turn];
  thread.turn ^= 1;
  std::memcpy(slot.lanes[thread.number % 32], value, bytes);
  waitForWarp();
  return &slot;
}

void* sharedPart(const void* key, size_t bytes) {
  Machine& m = machine();
  for (const Part& part : m.parts) {
    if (part.key == key) return m.shared + part.offset;
  }
  const size_t offset = m.sharedUsed;
  m.sharedUsed = (offset + bytes + 127) / 128 * 128;
  if (m.sharedUsed > kSharedBytes) stop("more shared memory than there is");
  std::memset(m.shared + offset, 0xff, bytes);
  m.parts.push_back({key, offset, bytes});
  return m.shared + offset;
}

void copyLater(void* to, const void* from, unsigned bytes, unsigned given) {
  Thread& thread = *machine().current.thread;
  if (thread.copyCount == 256) stop("more than 256 copies under way in one thread");
  if (reinterpret_cast<uintptr_t>(to) % bytes != 0 || (given && reinterpret_cast<uintptr_t>(from) % bytes != 0)) {
    stop("an asynchronous copy whose places are not aligned");
  }
  std::memset(to, 0xff, bytes);  // what is read before the wait is wrong
  thread.copies[thread.copyCount++] = {to, given ? from : nullptr, bytes};
}

void closeGroup() {
  Thread& thread = *machine().current.thread;
  if (thread.groupCount == 64) stop("more than 64 groups of copies under way in one thread");
  thread.ends[thread.groupCount++] = thread.copyCount;
}

void waitForGroups(unsigned left) {
  Thread& thread = *machine().current.thread;
  const unsigned until = thread.groupCount > left ? thread.groupCount - left : 0;
  for (; thread.groupsDone < until; thread.groupsDone++) {
    for (; thread.copiesDone < thread.ends[thread.groupsDone]; thread.copiesDone++) {
      const Copy& copy = thread.copies[thread.copiesDone];
      if (copy.from) std::memcpy(copy.to, copy.from, copy.bytes);
      else std::memset(copy.to, 0, copy.bytes);
    }
  }
  // What is done makes room: the rest moves to the front.
  if (thread.groupsDone == 0) return;
  const unsigned from = thread.copiesDone, groups = thread.groupCount - thread.groupsDone;
  for (unsigned i = from; i < thread.copyCount; i++) thread.copies[i - from] = thread.copies[i];
  for (unsigned i = 0; i < groups; i++) thread.ends[i] = thread.ends[thread.groupsDone + i] - from;
  thread.copyCount -= from;
  thread.groupCount = groups;
  thread.groupsDone = thread.copiesDone = 0;
}

Registered::Registered(const char* name, unsigned threads, size_t paramBytes, Entry entry)
    : name(name), threads(threads), paramBytes(paramBytes), entry(entry), next(kernels()) {
  kernels() = this;
}

const Registered* findKernel(const char* name) {
  for (const Registered* kernel = kernels(); kernel; kernel = kernel->next) {
    if (std::strcmp(kernel->name, name) == 0) return kernel;
  }
  return nullptr;
}

void runGrid(const Registered& kernel, Size3 grid, Size3 block, size_t sharedBytes, const void* params, bool reverse) {
  Machine& m = machine();
  const unsigned count = block.x * block.y * block.z;
  m.reserve(count);
  m.kernel = &kernel;
  m.params = params;
  m.current.blockSize = block;
  m.current.gridSize = grid;
  if (count > kernel.threads) stop("more threads than the kernel was compiled for");
  if (sharedBytes > kSharedBytes / 2 + (100 << 10)) stop("more shared memory than there is");
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        m.current.block = {x, y, z};
        runBlock(m, count, sharedBytes, reverse);
      }
    }
  }
}

}  // namespace tunebook::cuda::simt
