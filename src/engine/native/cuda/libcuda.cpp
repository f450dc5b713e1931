// NVIDIA's own driver, found at run time: a machine without one loads this library all the same. Next to read: images.cpp.

#include <dlfcn.h>

#include <cstdio>

#include "driver.h"

namespace tunebook::cuda {
namespace {

/** CUDA 11.4: the first with cuGraphInstantiateWithFlags. Kept loaded for good: threads of the driver may outlive us. */
struct Opened {
  Driver driver;
  const char* reason = nullptr;

  Opened() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libcuda.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      reason = "no NVIDIA driver: libcuda.so.1 is not on this machine";
      return;
    }
    static char missing[160];
#define TB_DRIVER_FIND(name, symbol, parameters)                                                        \
  driver.name = reinterpret_cast<Code(*) parameters>(dlsym(library, symbol));                           \
  if (!driver.name && !reason) {                                                                        \
    snprintf(missing, sizeof missing, "the NVIDIA driver is too old: it has no %s; CUDA 11.4 (driver 470) or newer is needed", symbol); \
    reason = missing;                                                                                   \
  }
    TB_DRIVER_FUNCTIONS(TB_DRIVER_FIND)
#undef TB_DRIVER_FIND
    if (reason) return;
    const Code code = driver.init(0);
    if (code == kSuccess) return;
    static char failed[256];
    char room[160];
    if (code == kNoDevice) snprintf(failed, sizeof failed, "the NVIDIA driver sees no GPU");
    else snprintf(failed, sizeof failed, "the NVIDIA driver does not start: %s", nameOf(driver, code, room));
    reason = failed;
  }
};

}  // namespace

const Driver* openDriver(const char** reason) {
  static const Opened& opened = *new Opened;
  *reason = opened.reason;
  return opened.reason ? nullptr : &opened.driver;
}

}  // namespace tunebook::cuda
