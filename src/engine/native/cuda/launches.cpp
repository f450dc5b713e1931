// Recording launches in graphs: each graph is captured once, at the first run, and launched as a whole ever after.

#include "launches.h"

#include <cstdarg>

namespace tunebook::cuda {

bool Launches::refuse(const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return fail(*status_, TB_REFUSED, op_, -1, "%s", text);
}

bool Launches::add(const char* name, Grid grid, unsigned threads, const void* params, size_t bytes, unsigned sharedBytes) {
  constexpr int64_t kMostX = 0x7fffffff, kMostYZ = 65535;
  if (grid.x > kMostX || grid.y > kMostYZ || grid.z > kMostYZ) {
    return refuse("its kernel %s would need %lld x %lld x %lld blocks, more than a launch can have", name, static_cast<long long>(grid.x),
                  static_cast<long long>(grid.y), static_cast<long long>(grid.z));
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return true;
  const Function function = core_->kernels.find(name, sharedBytes, *status_);
  if (!function) return false;
  const auto* first = static_cast<const unsigned char*>(params);
  launches_.push_back({function, grid, threads, sharedBytes, {first, first + bytes}, op_});
  return true;
}

bool Launches::capture(Status& status) {
  const Driver& driver = core_->driver;
  for (Event& event : events_) {
    if (!event && !core_->check(driver.eventCreate(&event, kEventBlockingSync | kEventNoTiming), "cuEventCreate", status)) return false;
  }
  for (size_t first = graphs_.size() * kPerGraph; first < launches_.size(); first += kPerGraph) {
    if (!core_->check(driver.captureBegin(core_->stream, kCaptureThreadLocal), "cuStreamBeginCapture", status)) return false;
    Code code = kSuccess;
    size_t at = first;
    for (; at < launches_.size() && at < first + kPerGraph && code == kSuccess; at++) {
      Launch& one = launches_[at];
      void* params[] = {one.params.data()};
      code = driver.launch(one.function, static_cast<unsigned>(one.grid.x), static_cast<unsigned>(one.grid.y),
                           static_cast<unsigned>(one.grid.z), one.threads, 1, 1, one.sharedBytes, core_->stream, params, nullptr);
    }
    Graph graph = nullptr;
    const Code ended = driver.captureEnd(core_->stream, &graph);
    GraphExec exec = nullptr;
    if (code == kSuccess) code = ended;
    if (code == kSuccess) code = driver.graphInstantiate(&exec, graph, 0);
    if (graph) driver.graphDestroy(graph);
    if (code != kSuccess) {
      failDriver(driver, status, "a graph of launches", code);
      status.op = launches_[at - 1].op;
      return false;
    }
    graphs_.push_back(exec);
  }
  return true;
}

bool Launches::launch(size_t graph, Status& status) {
  return core_->check(core_->driver.graphLaunch(graphs_[graph], core_->stream), "cuGraphLaunch", status) &&
         core_->check(core_->driver.eventRecord(events_[graph % 2], core_->stream), "cuEventRecord", status);
}

bool Launches::await(size_t event, Status& status) {
  return core_->check(core_->driver.eventSynchronize(events_[event]), "cuEventSynchronize", status);
}

Launches::~Launches() {
  core_->enter();
  for (GraphExec graph : graphs_) core_->driver.graphExecDestroy(graph);
  for (Event event : events_) {
    if (event) core_->driver.eventDestroy(event);
  }
}

}  // namespace tunebook::cuda
