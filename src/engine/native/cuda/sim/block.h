// One block of threads: fibers with stacks of their own that run until they must wait for their warp or their block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tunebook::cuda::simt {

struct Size3 {
  unsigned x = 1, y = 1, z = 1;
};

/** What a warp's lanes hand each other at one point of the program. */
struct Exchange {
  static constexpr size_t kRoom = 48;
  alignas(16) unsigned char lanes[32][kRoom];
};

/** A copy to shared memory that has been asked for and not been waited for: it happens at the wait, as late as it may. */
struct Copy {
  void* to;
  const void* from;
  unsigned bytes;
};

struct Thread {
  enum State : uint8_t { ready, atBlock, atWarp, done };
  void* stackPointer = nullptr;
  Size3 index{0, 0, 0};
  unsigned number = 0;
  State state = ready;
  uint8_t turn = 0;
  /** Copies by groups: `ends[i]` is where group i ends in `copies`. */
  unsigned copyCount = 0, groupCount = 0, groupsDone = 0, copiesDone = 0;
  Copy copies[256];
  unsigned ends[64];
};

/** What the running thread can ask for. */
struct Current {
  Thread* thread = nullptr;
  Size3 block, blockSize, gridSize;
  unsigned char* dynamicShared = nullptr;
};

Current& current();
inline unsigned laneNow() { return current().thread->number % 32; }

/** Wait for all threads of the block, or of the warp. */
void waitForBlock();
void waitForWarp();
/** Give a value, wait for the warp, and see what every lane gave. Good until the lane's exchange after the next. */
const Exchange* exchange(const void* value, size_t bytes);
/** Shared memory of the block for one declaration, found by an address that stands for it; filled with NaN at the block's start. */
void* sharedPart(const void* key, size_t bytes);

/** Asynchronous copies to shared memory. */
void copyLater(void* to, const void* from, unsigned bytes, unsigned given);
void closeGroup();
/** Do all groups of this thread but the last `left`. */
void waitForGroups(unsigned left);

using Entry = void (*)(const void* params);

/** A kernel by name, known from the start of the program. */
struct Registered {
  Registered(const char* name, unsigned threads, size_t paramBytes, Entry entry);
  const char* name;
  unsigned threads;
  size_t paramBytes;
  Entry entry;
  const Registered* next;
};
const Registered* findKernel(const char* name);

/** Run all blocks of a grid one after another; the warps of a block take turns in their order, or in the reverse. */
void runGrid(const Registered& kernel, Size3 grid, Size3 block, size_t sharedBytes, const void* params, bool reverse);

}  // namespace tunebook::cuda::simt
