// Reports cost some milliseconds at most; nothing here opens a context.

#include "report.h"

#include "driver.h"
#include "json.h"
#include "nvml.h"

namespace tunebook::cuda {

std::string foundHere() {
  const char* reason = nullptr;
  const Driver* driver = openDriver(&reason);
  if (!driver) return "{\"reason\":" + quoted(reason) + ",\"gpus\":[]}";
  int version = 0, count = 0;
  driver->driverVersion(&version);
  driver->deviceCount(&count);
  char text[512];
  snprintf(text, sizeof text, "{\"cuda\":\"%d.%d\",\"release\":\"%s\",\"gpus\":[", version / 1000, version % 1000 / 10,
           driverRelease().c_str());
  std::string out = text;
  for (int i = 0; i < count; i++) {
    int device = 0, major = 0, minor = 0, multiprocessors = 0;
    size_t bytes = 0;
    char name[160] = "";
    if (driver->deviceGet(&device, i) != kSuccess) continue;
    driver->deviceName(name, sizeof name, device);
    driver->deviceAttribute(&major, kCapabilityMajor, device);
    driver->deviceAttribute(&minor, kCapabilityMinor, device);
    driver->deviceAttribute(&multiprocessors, kMultiprocessors, device);
    driver->deviceMemory(&bytes, device);
    snprintf(text, sizeof text, "%s{\"index\":%d,\"name\":%s,\"major\":%d,\"minor\":%d,\"bytes\":%zu,\"multiprocessors\":%d}",
             i ? "," : "", i, quoted(name).c_str(), major, minor, bytes, multiprocessors);
    out += text;
  }
  return out + "]}";
}

std::string stateOf(int index) {
  const char* reason = nullptr;
  const Driver* driver = openDriver(&reason);
  if (!driver) return "null";
  int device = 0;
  size_t free = 0, total = 0;
  char bus[64] = "";
  if (driver->deviceGet(&device, index) != kSuccess || driver->memoryInfo(&free, &total) != kSuccess) return "null";
  driver->deviceBusId(bus, sizeof bus, device);
  char text[160];
  snprintf(text, sizeof text, "{\"freeBytes\":%zu,\"totalBytes\":%zu,\"meters\":", free, total);
  return text + metersOf(bus) + "}";
}

}  // namespace tunebook::cuda
