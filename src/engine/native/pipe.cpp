// The engine behind a pipe: Programs come in on standard input, arenas go back on standard output. Built for processors this machine
// can only imitate (`build.mjs --pipe arm64`), so that their kernels are tested too. test/engine/pipe.ts speaks the other end.
//
//     request   u32 bytes of the Program, u32 unused, f64 x 8 bytes of the arenas, f64 x 7 uniforms; the Program; the arenas, one after another
//     answer    i32 code, i32 op, i32 operand, u32 length of the message; the message; after code 0 the arenas

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "engine.h"
#include "program.h"

namespace {

using namespace tunebook;

struct Request {
  uint32_t program, unused;
  double arenas[kArenas];
  double uniforms[kUniforms];
};

struct Answer {
  int32_t code, op, operand;
  uint32_t length;
};

bool take(void* data, size_t bytes) { return std::fread(data, 1, bytes, stdin) == bytes; }
void give(const void* data, size_t bytes) {
  if (std::fwrite(data, 1, bytes, stdout) != bytes) std::exit(1);
}

/** One job's end. Jobs are done in order, so the last one's answer is waited for. */
struct Wait {
  tb_status status = {};
  std::mutex mutex;
  std::condition_variable wake;
  bool over = false;

  static void done(void* self, const tb_status* status) {
    auto& wait = *static_cast<Wait*>(self);
    std::lock_guard<std::mutex> lock(wait.mutex);
    wait.status = *status;
    wait.over = true;
    wait.wake.notify_all();
  }
  const tb_status& result() {
    std::unique_lock<std::mutex> lock(mutex);
    wake.wait(lock, [&] { return over; });
    return status;
  }
};

void answer(const tb_status& status) {
  const Answer head = {status.code, static_cast<int32_t>(status.op), status.operand, static_cast<uint32_t>(std::strlen(status.message))};
  give(&head, sizeof head);
  give(status.message, head.length);
}

/** Compile, write, run and read back. @returns the status of the first of these that failed. */
tb_status perform(tb_device* device, const Request& request, const std::vector<char>& program, std::vector<std::vector<char>>& contents) {
  tb_status status = {};
  tb_arena* arenas[kArenas] = {};
  for (int i = 0; i < kArenas && status.code == TB_OK; i++) {
    if (contents[i].empty()) continue;
    arenas[i] = tb_arena_create(device, static_cast<int64_t>(contents[i].size()), &status);
  }
  tb_program* compiled = status.code == TB_OK ? tb_compile(device, program.data(), program.size(), arenas, &status) : nullptr;
  if (compiled) {
    const tb_done ignore = [](void*, const tb_status*) {};
    const volatile int32_t abort = 0;
    Wait ran, read;
    for (int i = 0; i < kArenas; i++) {
      if (arenas[i]) tb_write(arenas[i], 0, contents[i].data(), contents[i].size(), ignore, nullptr);
    }
    tb_run(compiled, request.uniforms, &abort, Wait::done, &ran);
    status = ran.result();
    int last = -1;
    for (int i = 0; i < kArenas; i++) last = arenas[i] ? i : last;
    for (int i = 0; i <= last; i++) {
      if (!arenas[i]) continue;
      if (i == last) tb_read(arenas[i], 0, contents[i].data(), contents[i].size(), Wait::done, &read);
      else tb_read(arenas[i], 0, contents[i].data(), contents[i].size(), ignore, nullptr);
    }
    if (last >= 0) read.result();
    tb_program_release(compiled);
  }
  for (tb_arena* arena : arenas) {
    if (!arena) continue;
    tb_arena_free(arena);
    tb_arena_release(arena);
  }
  return status;
}

}  // namespace

int main(int count, char** words) {
  tb_status status = {};
  tb_device* device = tb_device_create(count > 1 ? std::atoi(words[1]) : 1, nullptr, &status);
  if (!device) {
    std::fprintf(stderr, "%s\n", status.message);
    return 1;
  }
  for (Request request; take(&request, sizeof request);) {
    std::vector<char> program(request.program);
    std::vector<std::vector<char>> contents(kArenas);
    bool whole = take(program.data(), program.size());
    for (int i = 0; i < kArenas && whole; i++) {
      contents[i].resize(static_cast<size_t>(request.arenas[i]));
      whole = take(contents[i].data(), contents[i].size());
    }
    if (!whole) {
      std::fprintf(stderr, "the request ended early\n");
      return 1;
    }
    const tb_status result = perform(device, request, program, contents);
    answer(result);
    if (result.code == TB_OK) {
      for (const auto& arena : contents) give(arena.data(), arena.size());
    }
    std::fflush(stdout);
  }
  tb_device_destroy(device);
  return 0;
}
