// The little JSON that native code writes.
#pragma once

#include <cstdio>
#include <string>

namespace tunebook::cuda {

/** A string in quotes; what cannot be shown is left out. */
inline std::string quoted(const char* text) {
  std::string out = "\"";
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') out += '\\';
    if (static_cast<unsigned char>(*text) >= 0x20) out += *text;
  }
  return out + "\"";
}

/** "name":value, or null where the value is not known. */
inline std::string number(const char* name, bool known, double value) {
  char text[96];
  if (known) snprintf(text, sizeof text, "\"%s\":%.17g", name, value);
  else snprintf(text, sizeof text, "\"%s\":null", name);
  return text;
}

}  // namespace tunebook::cuda
