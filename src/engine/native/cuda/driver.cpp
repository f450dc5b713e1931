// Words for the driver's codes.

#include "driver.h"

#include <cstdio>

namespace tunebook::cuda {

const char* nameOf(const Driver& driver, Code code, char (&room)[160]) {
  const char *name = nullptr, *text = nullptr;
  if (driver.errorName) driver.errorName(code, &name);
  if (driver.errorText) driver.errorText(code, &text);
  snprintf(room, sizeof room, "%s: %s", name ? name : "unknown code", text ? text : "the driver says no more");
  return room;
}

}  // namespace tunebook::cuda
