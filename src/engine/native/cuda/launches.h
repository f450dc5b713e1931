// A Program as a list of kernel launches, recorded in graphs of the driver. Made by lower/, replayed by device.cpp.
#pragma once

#include <atomic>
#include <cstring>

#include "../program.h"
#include "core.h"
#include "kernels/params.h"

namespace tunebook::cuda {

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

struct Launch {
  Function function;
  Grid grid;
  unsigned threads, sharedBytes;
  std::vector<unsigned char> params;
  /** Position of the op it belongs to. */
  int64_t op;
};

class Launches {
 public:
  Launches(std::shared_ptr<Core> core, Status& status) : core_(std::move(core)), status_(&status) {}
  ~Launches();
  Launches(const Launches&) = delete;
  Launches& operator=(const Launches&) = delete;

  /** The op that the next launches belong to. */
  void begin(int64_t op) { op_ = op; }
  template <class Params>
  bool add(const char* name, Grid grid, unsigned threads, const Params& params, unsigned sharedBytes = 0) {
    return add(name, grid, threads, &params, sizeof params, sharedBytes);
  }
  bool refuse(const char* format, ...) __attribute__((format(printf, 2, 3)));

  const double* uniforms() const { return reinterpret_cast<const double*>(core_->facts); }
  Fault fault() const {
    return {reinterpret_cast<unsigned long long*>(core_->facts + offsetof(Facts, fault)), static_cast<unsigned long long>(op_)};
  }

  /** Run all in order, aborting between graphs when `cancelled`. On the engine thread; returns when the GPU is done. */
  template <class Cancelled>
  bool run(const Cancelled& cancelled, Status& status) {
    if (!capture(status)) return false;
    const auto launchEach = [&] {
      for (size_t i = 0; i < graphs_.size(); i++) {
        // At most two graphs are on their way: an abort waits for those, and the GPU never waits for us.
        if (i >= 2 && !await(i % 2, status)) return false;
        if (cancelled()) return fail(status, TB_ABORTED, firstOf(i), -1, "the run was aborted");
        if (!launch(i, status)) return false;
      }
      return true;
    };
    const bool good = launchEach();
    Status later = status;
    if (!core_->check(core_->driver.streamSynchronize(core_->stream), "cuStreamSynchronize", later) && good) {
      status = later;
      return false;
    }
    return good;
  }

 private:
  static constexpr size_t kPerGraph = 64;

  bool add(const char* name, Grid grid, unsigned threads, const void* params, size_t bytes, unsigned sharedBytes);
  bool capture(Status& status);
  bool launch(size_t graph, Status& status);
  bool await(size_t event, Status& status);
  int64_t firstOf(size_t graph) const { return launches_[graph * kPerGraph].op; }

  std::shared_ptr<Core> core_;
  Status* status_;
  int64_t op_ = 0;
  std::vector<Launch> launches_;
  std::vector<GraphExec> graphs_;
  Event events_[2] = {};
};

/** Append the launches of one op whose operands are places on the device. False, with the reason, when there are no kernels for it. */
bool lower(const Op& op, Launches& launches);

}  // namespace tunebook::cuda
