// Prototypes are those of NVML's API, written down here: no header of CUDA is needed to build.

#include "nvml.h"

#include <dlfcn.h>

#include <type_traits>

#include "json.h"

namespace tunebook::cuda {
namespace {

struct Device_;
using Handle = Device_*;

struct Memory {
  unsigned long long total, free, used;
};
struct Utilisation {
  unsigned gpu, memory;
};
/** nvmlProcessInfo_v2_t */
struct Process {
  unsigned pid;
  unsigned long long bytes;
  unsigned gpuInstance, computeInstance;
};

struct Library {
  int (*init)() = nullptr;
  int (*driverVersion)(char*, unsigned) = nullptr;
  int (*byBusId)(const char*, Handle*) = nullptr;
  int (*memory)(Handle, Memory*) = nullptr;
  int (*utilisation)(Handle, Utilisation*) = nullptr;
  int (*power)(Handle, unsigned*) = nullptr;
  int (*temperature)(Handle, int, unsigned*) = nullptr;
  int (*processes)(Handle, unsigned*, Process*) = nullptr;
  int (*processName)(unsigned, char*, unsigned) = nullptr;
  bool opened = false;

  Library() {
    void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    };
    find(init, "nvmlInit_v2");
    find(driverVersion, "nvmlSystemGetDriverVersion");
    find(byBusId, "nvmlDeviceGetHandleByPciBusId_v2");
    find(memory, "nvmlDeviceGetMemoryInfo");
    find(utilisation, "nvmlDeviceGetUtilizationRates");
    find(power, "nvmlDeviceGetPowerUsage");
    find(temperature, "nvmlDeviceGetTemperature");
    find(processes, "nvmlDeviceGetComputeRunningProcesses_v3");
    find(processName, "nvmlSystemGetProcessName");
    opened = init && byBusId && init() == 0;
  }
};

const Library& library() {
  static const Library& one = *new Library;
  return one;
}

std::string processesOf(Handle handle) {
  const Library& nvml = library();
  constexpr unsigned kMost = 64;
  Process list[kMost];
  unsigned count = kMost;
  if (!nvml.processes || nvml.processes(handle, &count, list) != 0) return "null";
  std::string out = "[";
  for (unsigned i = 0; i < count && i < kMost; i++) {
    char name[256] = "";
    if (!nvml.processName || nvml.processName(list[i].pid, name, sizeof name) != 0) name[0] = '\0';
    // NVML writes -1 where a container hides how much a process has.
    const bool known = list[i].bytes != ~0ull;
    out += (i ? ",{" : "{") + number("pid", true, list[i].pid) + "," + number("bytes", known, static_cast<double>(list[i].bytes)) +
           ",\"name\":" + quoted(name) + "}";
  }
  return out + "]";
}

}  // namespace

std::string metersOf(const char* busId) {
  const Library& nvml = library();
  Handle handle = nullptr;
  if (!nvml.opened || nvml.byBusId(busId, &handle) != 0) return "null";
  Memory memory = {};
  Utilisation utilisation = {};
  unsigned milliwatts = 0, celsius = 0;
  const bool hasMemory = nvml.memory && nvml.memory(handle, &memory) == 0;
  const bool hasUse = nvml.utilisation && nvml.utilisation(handle, &utilisation) == 0;
  const bool hasPower = nvml.power && nvml.power(handle, &milliwatts) == 0;
  const bool hasHeat = nvml.temperature && nvml.temperature(handle, 0, &celsius) == 0;
  return "{" + number("usedBytes", hasMemory, static_cast<double>(memory.used)) + "," +
         number("totalBytes", hasMemory, static_cast<double>(memory.total)) + "," + number("utilisation", hasUse, utilisation.gpu / 100.0) +
         "," + number("watts", hasPower, milliwatts / 1000.0) + "," + number("celsius", hasHeat, celsius) +
         ",\"processes\":" + processesOf(handle) + "}";
}

std::string driverRelease() {
  char text[96] = "";
  const Library& nvml = library();
  return nvml.opened && nvml.driverVersion && nvml.driverVersion(text, sizeof text) == 0 ? text : "";
}

}  // namespace tunebook::cuda
