// NVIDIA's driver as a table of functions, so that there can be two: libcuda.so found at run time (libcuda.cpp), and one that runs the
// kernels on the processor (sim/driver.cpp). Prototypes and codes are those of CUDA's driver API, written down here: no header of
// CUDA is needed to build. Next to read: device.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tunebook::cuda {

using Code = int;
using Place = unsigned long long;  // CUdeviceptr
struct Context_;
struct Stream_;
struct Event_;
struct Module_;
struct Function_;
struct Graph_;
struct GraphExec_;
using Context = Context_*;
using Stream = Stream_*;
using Event = Event_*;
using Module = Module_*;
using Function = Function_*;
using Graph = Graph_*;
using GraphExec = GraphExec_*;

/** Codes the engine reacts to; all others are told by name. */
enum : Code {
  kSuccess = 0,
  kOutOfMemory = 2,
  kNoDevice = 100,
  kInvalidImage = 200,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kUnsupportedPtxVersion = 222,
  kNotFound = 500,
  kNotReady = 600,
  kDriverTooOld = 803,  // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
};

/** CUdevice_attribute. */
enum Attribute {
  kClockRate = 13,
  kMultiprocessors = 16,
  kMemoryClockRate = 36,
  kBusWidth = 37,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kSharedBytesOptin = 97,
};

enum {
  kFunctionMaxDynamicShared = 8,  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
  kContextBlockingSync = 4,
  kStreamNonBlocking = 1,
  kEventBlockingSync = 1,
  kEventNoTiming = 2,
  kCaptureThreadLocal = 1,
};

/** What driver.h's functions are called in libcuda; those with a version in their name have it here too. */
#define TB_DRIVER_FUNCTIONS(X)                                                                                      \
  X(init, "cuInit", (unsigned flags))                                                                               \
  X(driverVersion, "cuDriverGetVersion", (int* version))                                                            \
  X(deviceCount, "cuDeviceGetCount", (int* count))                                                                  \
  X(deviceGet, "cuDeviceGet", (int* device, int ordinal))                                                           \
  X(deviceName, "cuDeviceGetName", (char* name, int room, int device))                                              \
  X(deviceAttribute, "cuDeviceGetAttribute", (int* value, int attribute, int device))                               \
  X(deviceMemory, "cuDeviceTotalMem_v2", (size_t * bytes, int device))                                              \
  X(deviceBusId, "cuDeviceGetPCIBusId", (char* id, int room, int device))                                           \
  X(contextFlags, "cuDevicePrimaryCtxSetFlags_v2", (int device, unsigned flags))                                    \
  X(contextRetain, "cuDevicePrimaryCtxRetain", (Context * context, int device))                                     \
  X(contextRelease, "cuDevicePrimaryCtxRelease_v2", (int device))                                                   \
  X(contextSet, "cuCtxSetCurrent", (Context context))                                                               \
  X(memoryInfo, "cuMemGetInfo_v2", (size_t * free, size_t* total))                                                  \
  X(allocate, "cuMemAlloc_v2", (Place * place, size_t bytes))                                                       \
  X(release, "cuMemFree_v2", (Place place))                                                                         \
  X(hostAllocate, "cuMemHostAlloc", (void** place, size_t bytes, unsigned flags))                                   \
  X(hostRelease, "cuMemFreeHost", (void* place))                                                                    \
  X(copyIn, "cuMemcpyHtoDAsync_v2", (Place to, const void* from, size_t bytes, Stream stream))                      \
  X(copyOut, "cuMemcpyDtoHAsync_v2", (void* to, Place from, size_t bytes, Stream stream))                           \
  X(fill, "cuMemsetD8Async", (Place to, unsigned char value, size_t bytes, Stream stream))                          \
  X(streamCreate, "cuStreamCreate", (Stream * stream, unsigned flags))                                              \
  X(streamDestroy, "cuStreamDestroy_v2", (Stream stream))                                                           \
  X(streamSynchronize, "cuStreamSynchronize", (Stream stream))                                                      \
  X(captureBegin, "cuStreamBeginCapture_v2", (Stream stream, int mode))                                             \
  X(captureEnd, "cuStreamEndCapture", (Stream stream, Graph * graph))                                               \
  X(graphInstantiate, "cuGraphInstantiateWithFlags", (GraphExec * exec, Graph graph, unsigned long long flags))     \
  X(graphLaunch, "cuGraphLaunch", (GraphExec exec, Stream stream))                                                  \
  X(graphDestroy, "cuGraphDestroy", (Graph graph))                                                                  \
  X(graphExecDestroy, "cuGraphExecDestroy", (GraphExec exec))                                                       \
  X(eventCreate, "cuEventCreate", (Event * event, unsigned flags))                                                  \
  X(eventDestroy, "cuEventDestroy_v2", (Event event))                                                               \
  X(eventRecord, "cuEventRecord", (Event event, Stream stream))                                                     \
  X(eventSynchronize, "cuEventSynchronize", (Event event))                                                          \
  X(moduleLoad, "cuModuleLoadData", (Module * module, const void* image))                                           \
  X(moduleUnload, "cuModuleUnload", (Module module))                                                                \
  X(moduleFunction, "cuModuleGetFunction", (Function * function, Module module, const char* name))                  \
  X(functionAttribute, "cuFuncSetAttribute", (Function function, int attribute, int value))                         \
  X(launch, "cuLaunchKernel",                                                                                       \
    (Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,           \
     unsigned blockZ, unsigned sharedBytes, Stream stream, void** params, void** extra))                            \
  X(errorName, "cuGetErrorName", (Code code, const char** name))                                                    \
  X(errorText, "cuGetErrorString", (Code code, const char** text))

struct Driver {
#define TB_DRIVER_MEMBER(name, symbol, parameters) Code(*name) parameters = nullptr;
  TB_DRIVER_FUNCTIONS(TB_DRIVER_MEMBER)
#undef TB_DRIVER_MEMBER
  /** Whether kernels come from images in a folder; the simulated driver carries its own. */
  bool needsImages = true;
};

/** The driver of this library, opened once; nullptr with the reason, one sentence, when there is none. */
const Driver* openDriver(const char** reason);

/** "CUDA_ERROR_OUT_OF_MEMORY: out of memory" */
const char* nameOf(const Driver& driver, Code code, char (&room)[160]);

}  // namespace tunebook::cuda
