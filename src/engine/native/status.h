// How native code says no: a code, where, and a sentence. The same layout crosses the C interface (engine.h).
#pragma once

#include <cstdarg>
#include <cstdio>

#include "engine.h"

namespace tunebook {

using Status = tb_status;

/** Fill in a status. `op` and `operand` are -1 where none is meant; operands count inputs first, then outputs. */
__attribute__((format(printf, 5, 6))) static inline bool fail(Status& status, int code, int64_t op, int operand,
                                                              const char* format, ...) {
  status.code = code;
  status.op = op;
  status.operand = operand;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(status.message, sizeof status.message, format, arguments);
  va_end(arguments);
  return false;
}

}  // namespace tunebook
