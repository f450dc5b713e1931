// A driver whose GPU is this processor: memory is memory, a captured graph is the list of its launches, everything happens at once.
// GPU 0 lets the warps of a block take turns in order, GPU 1 in reverse: code that lacks a barrier then goes wrong on one of them.
// GPU 2 is too old, GPU 3 has next to no memory. For tests alone.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "../driver.h"
#include "block.h"

namespace tunebook::cuda {

struct Context_ {
  int device;
  int users;
};
struct Launched {
  const simt::Registered* kernel;
  simt::Size3 grid, block;
  size_t sharedBytes;
  std::vector<unsigned char> params;
};
struct Stream_ {
  bool capturing = false;
  std::vector<Launched> launches;
};
struct Event_ {};
struct Module_ {};
struct Function_ {
  const simt::Registered* kernel;
};
struct Graph_ {
  std::vector<Launched> launches;
};
struct GraphExec_ {
  std::vector<Launched> launches;
};

namespace {

constexpr int kDevices = 4;
constexpr size_t kMemory[kDevices] = {size_t{8} << 30, size_t{8} << 30, size_t{8} << 30, size_t{1} << 20};
Context_ contexts[kDevices] = {{0, 0}, {1, 0}, {2, 0}, {3, 0}};
thread_local Context_* active = nullptr;

struct Block {
  int device;
  size_t bytes;
};
std::mutex& memoryMutex() {
  static auto& one = *new std::mutex;
  return one;
}
std::map<Place, Block>& blocks() {
  static auto& all = *new std::map<Place, Block>;
  return all;
}
size_t used[kDevices] = {};

void perform(const Launched& launched, int device) {
  simt::runGrid(*launched.kernel, launched.grid, launched.block, launched.sharedBytes, launched.params.data(), device == 1);
}

Code init(unsigned) { return kSuccess; }
Code driverVersion(int* version) { return *version = 13000, kSuccess; }
Code deviceCount(int* count) { return *count = kDevices, kSuccess; }
Code deviceGet(int* device, int ordinal) { return *device = ordinal, ordinal < kDevices ? kSuccess : kNoDevice; }
Code deviceName(char* name, int room, int device) {
  static const char* const names[] = {"simulated GPU, warps in order", "simulated GPU, warps in reverse", "simulated old GPU",
                                      "simulated small GPU"};
  return snprintf(name, static_cast<size_t>(room), "%s", names[device]), kSuccess;
}
Code deviceAttribute(int* value, int attribute, int device) {
  *value = 0;
  if (attribute == kMultiprocessors) *value = 1;
  if (attribute == kCapabilityMajor) *value = device == 2 ? 7 : 8;
  if (attribute == kCapabilityMinor) *value = device == 2 ? 5 : 0;
  if (attribute == kSharedBytesOptin) *value = 101376;
  return kSuccess;
}
Code deviceMemory(size_t* bytes, int device) { return *bytes = kMemory[device], kSuccess; }
Code deviceBusId(char* id, int room, int device) { return snprintf(id, static_cast<size_t>(room), "0000:0%d:00.0", device), kSuccess; }
Code contextFlags(int, unsigned) { return kSuccess; }
Code contextRetain(Context* context, int device) { return contexts[device].users++, *context = &contexts[device], kSuccess; }
Code contextRelease(int device) { return contexts[device].users--, kSuccess; }
Code contextSet(Context context) { return active = context, kSuccess; }

Code memoryInfo(size_t* free, size_t* total) {
  std::lock_guard<std::mutex> lock(memoryMutex());
  *total = kMemory[active->device];
  *free = *total - used[active->device];
  return kSuccess;
}
Code allocate(Place* place, size_t bytes) {
  std::lock_guard<std::mutex> lock(memoryMutex());
  if (bytes > kMemory[active->device] - used[active->device]) return kOutOfMemory;
  void* memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory) return kOutOfMemory;
  std::memset(memory, 0xff, bytes < (size_t{64} << 20) ? bytes : size_t{64} << 20);
  *place = reinterpret_cast<Place>(memory);
  blocks()[*place] = {active->device, bytes};
  used[active->device] += bytes;
  return kSuccess;
}
Code release(Place place) {
  std::lock_guard<std::mutex> lock(memoryMutex());
  const auto found = blocks().find(place);
  if (found == blocks().end()) return 1;
  used[found->second.device] -= found->second.bytes;
  blocks().erase(found);
  std::free(reinterpret_cast<void*>(place));
  return kSuccess;
}
Code hostAllocate(void** place, size_t bytes, unsigned) {
  *place = aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *place ? kSuccess : kOutOfMemory;
}
Code hostRelease(void* place) { return std::free(place), kSuccess; }
Code copyIn(Place to, const void* from, size_t bytes, Stream) { return std::memcpy(reinterpret_cast<void*>(to), from, bytes), kSuccess; }
Code copyOut(void* to, Place from, size_t bytes, Stream) { return std::memcpy(to, reinterpret_cast<void*>(from), bytes), kSuccess; }
Code fill(Place to, unsigned char value, size_t bytes, Stream) {
  return std::memset(reinterpret_cast<void*>(to), value, bytes), kSuccess;
}
Code streamCreate(Stream* stream, unsigned) { return *stream = new Stream_, kSuccess; }
Code streamDestroy(Stream stream) {
  delete stream;
  return kSuccess;
}
Code streamSynchronize(Stream) { return kSuccess; }
Code captureBegin(Stream stream, int) { return stream->capturing = true, stream->launches.clear(), kSuccess; }
Code captureEnd(Stream stream, Graph* graph) {
  stream->capturing = false;
  *graph = new Graph_{std::move(stream->launches)};
  stream->launches.clear();
  return kSuccess;
}
Code graphInstantiate(GraphExec* exec, Graph graph, unsigned long long) { return *exec = new GraphExec_{graph->launches}, kSuccess; }
Code graphLaunch(GraphExec exec, Stream) {
  for (const Launched& launched : exec->launches) perform(launched, active->device);
  return kSuccess;
}
Code graphDestroy(Graph graph) {
  delete graph;
  return kSuccess;
}
Code graphExecDestroy(GraphExec exec) {
  delete exec;
  return kSuccess;
}
Code eventCreate(Event* event, unsigned) { return *event = new Event_, kSuccess; }
Code eventDestroy(Event event) {
  delete event;
  return kSuccess;
}
Code eventRecord(Event, Stream) { return kSuccess; }
Code eventSynchronize(Event) { return kSuccess; }
Code moduleLoad(Module* module, const void*) { return *module = new Module_, kSuccess; }
Code moduleUnload(Module module) {
  delete module;
  return kSuccess;
}
Code moduleFunction(Function* function, Module, const char* name) {
  const simt::Registered* kernel = simt::findKernel(name);
  if (!kernel) return kNotFound;
  return *function = new Function_{kernel}, kSuccess;
}
Code functionAttribute(Function, int, int) { return kSuccess; }
Code launch(Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ,
            unsigned sharedBytes, Stream stream, void** params, void**) {
  if (gridX == 0 || gridY == 0 || gridZ == 0 || gridY > 65535 || gridZ > 65535 || blockX * blockY * blockZ > 1024) return 1;
  const auto* bytes = static_cast<const unsigned char*>(params[0]);
  Launched launched{function->kernel, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, sharedBytes,
                    {bytes, bytes + function->kernel->paramBytes}};
  if (stream->capturing) stream->launches.push_back(std::move(launched));
  else perform(launched, active->device);
  return kSuccess;
}
Code errorName(Code code, const char** name) {
  *name = code == kOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : code == kNotFound ? "CUDA_ERROR_NOT_FOUND" : "CUDA_ERROR_INVALID_VALUE";
  return kSuccess;
}
Code errorText(Code, const char** text) { return *text = "said by the simulated driver", kSuccess; }

}  // namespace

const Driver* openDriver(const char** reason) {
  static const Driver driver = [] {
    Driver d;
#define TB_DRIVER_SET(name, symbol, parameters) d.name = name;
    TB_DRIVER_FUNCTIONS(TB_DRIVER_SET)
#undef TB_DRIVER_SET
    d.needsImages = false;
    return d;
  }();
  *reason = nullptr;
  return &driver;
}

}  // namespace tunebook::cuda
