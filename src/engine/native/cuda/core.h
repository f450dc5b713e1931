// A GPU that was opened: its context, stream, kernels and the few bytes that every run shares. Held by the device and by everything on
// it, so that what outlives the device can still be released. Next to read: device.h.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../status.h"
#include "driver.h"

namespace tunebook::cuda {

/** Status from a driver's code: "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY: out of memory". */
bool failDriver(const Driver& driver, Status& status, const char* what, Code code);

/** Least compute capability whose cards the kernels run on: bf16 products and asynchronous copies. */
constexpr int kLeastMajor = 8;

/** Uniforms and the fault of a run, on the device and, pinned, on the host. */
struct Facts {
  double uniforms[8];
  unsigned long long fault;
};

/** The kernels, by name. */
class Kernels {
 public:
  explicit Kernels(const Driver& driver) : driver_(driver) {}

  /** Load all images of a folder. */
  bool load(const char* folder, int major, int minor, Status& status);
  /** nullptr, with the reason, when there is none. */
  Function find(const char* name, unsigned sharedBytes, Status& status);
  /** Needs the context they were loaded in. */
  void unload();

 private:
  bool loadOne(const std::string& stem, int major, int minor, Status& status);

  const Driver& driver_;
  std::vector<Module> modules_;
  std::map<std::string, Function> found_;
};

class Core {
 public:
  Core(const Driver& driver, int index) : driver(driver), index(index), kernels(driver) {}
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  bool open(const char* folder, Status& status);
  /** Makes the context that of the calling thread, which every other call needs. */
  void enter() const { driver.contextSet(context); }
  bool check(Code code, const char* what, Status& status) const {
    return code == kSuccess || failDriver(driver, status, what, code);
  }

  const Driver& driver;
  const int index;
  int device = 0;
  Context context = nullptr;
  Stream stream = nullptr;
  Kernels kernels;
  Place facts = 0;
  Facts* pinned = nullptr;
};

}  // namespace tunebook::cuda
