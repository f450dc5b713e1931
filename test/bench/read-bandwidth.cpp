// How fast this machine reads memory: threads sum memory far larger than any cache. Prints bytes per second, the best of some rounds.
// Built and run by machine.ts: read-bandwidth <threads>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

constexpr size_t kBytes = size_t{768} << 20;
constexpr int kRounds = 7;

typedef uint64_t Words __attribute__((vector_size(64)));

/** Four sums by name: as an array they would live in memory. */
static uint64_t sum(const Words* words, size_t count) {
  Words a = {}, b = {}, c = {}, d = {};
  for (size_t i = 0; i < count; i += 4) {
    a += words[i];
    b += words[i + 1];
    c += words[i + 2];
    d += words[i + 3];
  }
  const Words all = (a + b) + (c + d);
  uint64_t total = 0;
  for (int i = 0; i < 8; i++) total += all[i];
  return total;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  if (threads < 1) {
    std::fprintf(stderr, "usage: read-bandwidth <threads>\n");
    return 2;
  }
  auto* memory = static_cast<Words*>(std::aligned_alloc(sizeof(Words), kBytes));
  if (!memory) return 1;
  std::fill_n(reinterpret_cast<uint64_t*>(memory), kBytes / sizeof(uint64_t), 1);
  const size_t part = kBytes / sizeof(Words) / threads / 4 * 4;  // vectors of one thread
  double best = 0;
  for (int round = 0; round < kRounds; round++) {
    std::atomic<uint64_t> total{0};
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> team;
    for (int t = 0; t < threads; t++)
      team.emplace_back([&, t] { total += sum(memory + t * part, part); });
    for (auto& thread : team) thread.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (total != 8 * part * threads) return 1;
    const double rate = static_cast<double>(sizeof(Words)) * part * threads / seconds;
    if (rate > best) best = rate;
  }
  std::printf("%.0f\n", best);
}
