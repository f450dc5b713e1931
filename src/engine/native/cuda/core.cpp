// Opening a GPU, and giving back what was taken in the reverse order.

#include "core.h"

#include <dirent.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace tunebook::cuda {

bool failDriver(const Driver& driver, Status& status, const char* what, Code code) {
  char room[160];
  return fail(status, code == kOutOfMemory ? TB_NO_MEMORY : TB_FAILED, -1, -1, "%s: %s", what, nameOf(driver, code, room));
}

static bool readFile(const std::string& path, std::string& bytes) {
  FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return false;
  char room[1 << 16];
  for (size_t count; (count = std::fread(room, 1, sizeof room, file)) > 0;) bytes.append(room, count);
  std::fclose(file);
  return true;
}

void Kernels::unload() {
  for (Module module : modules_) driver_.moduleUnload(module);
  modules_.clear();
  found_.clear();
}

/** Machine code for this card if there is some, else PTX, which the driver compiles: slower to start, and good for cards yet to come. */
bool Kernels::loadOne(const std::string& stem, int major, int minor, Status& status) {
  Code code = kNotFound;
  for (const char* ending : {".fatbin", ".ptx"}) {
    std::string bytes;
    if (!readFile(stem + ending, bytes)) continue;
    Module module;
    code = driver_.moduleLoad(&module, bytes.c_str());
    if (code != kSuccess) continue;
    modules_.push_back(module);
    return true;
  }
  char room[160];
  return fail(status, TB_REFUSED, -1, -1, "the kernels %s do not load on compute capability %d.%d: %s", stem.c_str(), major, minor,
              nameOf(driver_, code, room));
}

bool Kernels::load(const char* folder, int major, int minor, Status& status) {
  if (!driver_.needsImages) {
    modules_.emplace_back();
    return driver_.moduleLoad(&modules_.back(), nullptr) == kSuccess;
  }
  std::vector<std::string> stems;
  if (DIR* opened = opendir(folder)) {
    while (const dirent* entry = readdir(opened)) {
      const std::string name = entry->d_name;
      const size_t end = name.rfind('.');
      if (end == std::string::npos || (name.substr(end) != ".fatbin" && name.substr(end) != ".ptx")) continue;
      stems.push_back(std::string(folder) + "/" + name.substr(0, end));
    }
    closedir(opened);
  }
  std::sort(stems.begin(), stems.end());
  stems.erase(std::unique(stems.begin(), stems.end()), stems.end());
  if (stems.empty()) {
    return fail(status, TB_REFUSED, -1, -1,
                "no kernels in %s: they are compiled where nvcc is found (on the PATH, in CUDA_HOME, or TUNEBOOK_NVCC); "
                "then build again: node src/engine/native/build.mjs",
                folder);
  }
  for (const std::string& stem : stems) {
    if (!loadOne(stem, major, minor, status)) return false;
  }
  return true;
}

Function Kernels::find(const char* name, unsigned sharedBytes, Status& status) {
  const auto known = found_.find(name);
  Function function = known == found_.end() ? nullptr : known->second;
  for (size_t i = 0; !function && i < modules_.size(); i++) {
    if (driver_.moduleFunction(&function, modules_[i], name) != kSuccess) function = nullptr;
  }
  if (!function) {
    fail(status, TB_FAILED, -1, -1, "no kernel %s: the kernels are older than this library; build again", name);
    return nullptr;
  }
  found_[name] = function;
  constexpr unsigned kUsual = 48 << 10;
  if (sharedBytes > kUsual) {
    const Code code = driver_.functionAttribute(function, kFunctionMaxDynamicShared, static_cast<int>(sharedBytes));
    if (code != kSuccess) {
      failDriver(driver_, status, name, code);
      return nullptr;
    }
  }
  return function;
}

bool Core::open(const char* folder, Status& status) {
  int count = 0, major = 0, minor = 0;
  if (!check(driver.deviceCount(&count), "cuDeviceGetCount", status)) return false;
  if (index < 0 || index >= count) {
    return fail(status, TB_REFUSED, -1, -1, "there is no GPU %d: the driver shows %d (CUDA_VISIBLE_DEVICES chooses which)", index, count);
  }
  if (!check(driver.deviceGet(&device, index), "cuDeviceGet", status)) return false;
  driver.deviceAttribute(&major, kCapabilityMajor, device);
  driver.deviceAttribute(&minor, kCapabilityMinor, device);
  if (major < kLeastMajor) {
    char name[128] = "";
    driver.deviceName(name, sizeof name, device);
    return fail(status, TB_REFUSED, -1, -1,
                "%s has compute capability %d.%d, expected 8.0 or newer: A100, A10, RTX 30, L4, RTX 40, H100 and later work", name, major,
                minor);
  }
  // Threads that wait for the GPU sleep. Refused where somebody else in this process has the context already: then they spin.
  driver.contextFlags(device, kContextBlockingSync);
  if (!check(driver.contextRetain(&context, device), "cuDevicePrimaryCtxRetain", status)) return false;
  enter();
  return kernels.load(folder, major, minor, status) &&
         check(driver.streamCreate(&stream, kStreamNonBlocking), "cuStreamCreate", status) &&
         check(driver.allocate(&facts, sizeof(Facts)), "cuMemAlloc", status) &&
         check(driver.hostAllocate(reinterpret_cast<void**>(&pinned), sizeof(Facts), 0), "cuMemHostAlloc", status);
}

Core::~Core() {
  if (!context) return;
  enter();
  if (pinned) driver.hostRelease(pinned);
  if (facts) driver.release(facts);
  if (stream) driver.streamDestroy(stream);
  kernels.unload();
  driver.contextSet(nullptr);
  driver.contextRelease(device);
}

}  // namespace tunebook::cuda
