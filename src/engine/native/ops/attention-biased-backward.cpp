// The gradient of attention with a number by distance, so that no sum is shared between threads and each is made in one order: dk and dv
// per block of keys, over all queries that see it; dq per block of queries, which also sums by bucket; then those sums, block by block.
//
//     p = exp(scale * q·k + number - lse)     ds = p (do·v - do·o)     dv = pᵀ do     dk = scale dsᵀ q     dq = scale ds k
//     dBias = sum of ds by bucket

#include "distances.h"

namespace tunebook::TB_ISA {
namespace {

/** Scratch of one thread, within biasedBytes. first and second are dk and dv [key][width], or keys [key][width] and dq [query][width]. */
struct Scratch {
  float *turnedKeys, *turnedValues, *first, *second, *query, *gradient, *shares, *slopes, *numbers;

  Scratch(char* place, int64_t width) {
    turnedKeys = reinterpret_cast<float*>(place);
    turnedValues = turnedKeys + kBiasedKeys * width;
    first = turnedValues + kBiasedKeys * width;
    second = first + kBiasedKeys * width;
    query = second + kBiasedKeys * width;
    gradient = query + width;
    shares = gradient + width;
    slopes = shares + kBiasedKeys;
    numbers = slopes + kBiasedKeys;
  }
};

struct Backward {
  const Biased at;
  const Operand &dOut, &q, &k, &v, &o, &lse;
  /** [query tasks, buckets], of each block of queries of one head; nullptr when nobody asks. */
  double* const sums;

  explicit Backward(const Op& op)
      : at(op, 1, 2, 6, 7, 8, 9), dOut(op.in(0)), q(op.in(1)), k(op.in(2)), v(op.in(3)), o(op.in(4)), lse(op.in(5)),
        sums(op.out(3).present ? reinterpret_cast<double*>(op.workspace) : nullptr) {}

  int64_t buckets() const { return at.bias.shape[0]; }
  int64_t group() const { return at.heads / at.kvHeads; }

  void takeKeys(int64_t keyRow, int64_t keys, int64_t kvHead, const Scratch& scratch) const {
    turnRows(k, keyRow, keys, kvHead, at.headDim, scratch.turnedKeys);
    turnRows(v, keyRow, keys, kvHead, at.headDim, scratch.turnedValues);
  }

  /** shares: p, and slopes: ds, of one query against a block of keys. */
  void makeSlopes(int64_t row, int64_t head, int64_t key, const Visible& visible, const Scratch& scratch) const {
    widenRows(q, row, 1, head, at.headDim, at.width, scratch.query);
    widenRows(o, row, 1, head, at.headDim, at.width, scratch.gradient);
    // o is looked at first, then its place is taken by do: only their product is wanted of o.
    Floats products = {};
    withAct(dOut.type, [&](auto* act) {
      using T = std::remove_pointer_t<decltype(act)>;
      const T* from = dOut.as<T>() + row * dOut.shape[1] + head * at.headDim;
      for (int64_t j = 0; j < at.headDim; j += kLanes) products += load(scratch.gradient + j) * load(from + j, at.headDim - j);
    });
    const float mean = sum(products), logarithm = lse.as<float>()[row * at.heads + head];
    widenRows(dOut, row, 1, head, at.headDim, at.width, scratch.gradient);
    meetKeys(scratch.query, scratch.turnedKeys, at.headDim, scratch.shares);
    meetKeys(scratch.gradient, scratch.turnedValues, at.headDim, scratch.slopes);
    const float* numbers = scratch.numbers + kBiasedKeys + at.firstDistance(row, key);
    for (int64_t j = 0; j < kBiasedKeys; j += kLanes) {
      const Ints seen = visible.lanes(j);
      const Floats p = seen ? exponential(load(scratch.shares + j) * at.scale + load(numbers + j) - logarithm) : Floats{};
      store(scratch.slopes + j, seen ? p * (load(scratch.slopes + j) - mean) : Floats{});
      store(scratch.shares + j, p);
    }
  }

  /** dk and dv of one block of keys of one key head: the heads of its group and their queries in order. */
  void keyGradients(int64_t batch, int64_t kvHead, int64_t block, char* place) const {
    const Scratch scratch(place, at.width);
    const int64_t key = block * kBiasedKeys, keys = least(kBiasedKeys, at.seqK - key), keyRow = batch * at.seqK + key;
    std::memset(scratch.first, 0, static_cast<size_t>(2 * kBiasedKeys * at.width) * 4);
    takeKeys(keyRow, keys, kvHead, scratch);
    for (int64_t head = kvHead * group(); head < (kvHead + 1) * group(); head++) {
      at.takeDistances(head, scratch.numbers);
      for (int64_t row = batch * at.seqQ; row < (batch + 1) * at.seqQ; row++) {
        const Visible visible(at, row, key);
        if (!visible.any()) continue;
        makeSlopes(row, head, key, visible, scratch);
        for (int64_t j = visible.from; j < visible.to; j++) {
          addRow(scratch.slopes[j], scratch.query, at.width, scratch.first + j * at.width);
          addRow(scratch.shares[j], scratch.gradient, at.width, scratch.second + j * at.width);
        }
      }
    }
    for (int64_t j = 0; j < keys; j++) {
      narrowRow(scratch.first + j * at.width, at.scale, at.op.out(1), keyRow + j, kvHead, at.headDim);
      narrowRow(scratch.second + j * at.width, 1, at.op.out(2), keyRow + j, kvHead, at.headDim);
    }
  }

  /** dq of one block of queries of one head, and what they add to the head's numbers. */
  void queryGradients(int64_t batch, int64_t head, int64_t block, double* byBucket, char* place) const {
    const Scratch scratch(place, at.width);
    const int64_t kvHead = head / group(), row = batch * at.seqQ + block * kBiasedQueries;
    const int64_t count = least(kBiasedQueries, at.seqQ - block * kBiasedQueries);
    at.takeDistances(head, scratch.numbers);
    std::memset(scratch.second, 0, static_cast<size_t>(kBiasedQueries * at.width) * 4);
    if (byBucket) std::memset(byBucket, 0, static_cast<size_t>(buckets()) * 8);
    for (int64_t key = 0; key < at.seqK; key += kBiasedKeys) {
      bool taken = false;
      for (int64_t i = 0; i < count; i++) {
        const Visible visible(at, row + i, key);
        if (!visible.any()) continue;
        if (!taken) {
          const int64_t keys = least(kBiasedKeys, at.seqK - key), keyRow = batch * at.seqK + key;
          takeKeys(keyRow, keys, kvHead, scratch);
          widenRows(k, keyRow, keys, kvHead, at.headDim, at.width, scratch.first);
          taken = true;
        }
        makeSlopes(row + i, head, key, visible, scratch);
        const int64_t start = at.firstDistance(row + i, key);
        for (int64_t j = visible.from; j < visible.to; j++) {
          addRow(scratch.slopes[j], scratch.first + j * at.width, at.width, scratch.second + i * at.width);
          if (byBucket) byBucket[at.buckets[at.within(start + j)]] += static_cast<double>(scratch.slopes[j]);
        }
      }
    }
    for (int64_t i = 0; i < count; i++) {
      narrowRow(scratch.second + i * at.width, at.scale, at.op.out(0), row + i, head, at.headDim);
    }
  }

  /** dBias += what the blocks of queries have summed; task t is of the head t / queryBlocks % heads. */
  void addBiases(int64_t tasks) const {
    auto* out = at.op.out(3).as<float>();
    for (int64_t head = 0; head < at.heads; head++) {
      for (int64_t bucket = 0; bucket < buckets(); bucket++) {
        double total = 0;
        for (int64_t first = head * at.queryBlocks(); first < tasks; first += at.heads * at.queryBlocks()) {
          for (int64_t task = first; task < first + at.queryBlocks(); task++) total += sums[task * buckets() + bucket];
        }
        out[bucket * at.heads + head] = static_cast<float>(static_cast<double>(out[bucket * at.heads + head]) + total);
      }
    }
  }
};

}  // namespace

bool attentionBiasedBackward(const Op& op, Run& run) {
  const Backward backward(op);
  const Biased& at = backward.at;
  if (!at.check(run, 6, 9)) return false;
  const int64_t bytes = at.threadBytes();
  const int64_t keyTasks = at.batch * at.kvHeads * at.keyBlocks(), queryTasks = at.batch * at.heads * at.queryBlocks();
  char* const scratch = op.workspace + biasedSumsBytes(op);
  run.each(keyTasks + queryTasks, [&](int64_t task, int thread) {
    char* place = scratch + thread * bytes;
    if (task < keyTasks) {
      const int64_t one = task / at.keyBlocks();
      backward.keyGradients(one / at.kvHeads, one % at.kvHeads, task % at.keyBlocks(), place);
    } else {
      const int64_t mine = task - keyTasks, one = mine / at.queryBlocks();
      double* byBucket = backward.sums ? backward.sums + mine * backward.buckets() : nullptr;
      backward.queryGradients(one / at.heads, one % at.heads, mine % at.queryBlocks(), byBucket, place);
    }
  });
  if (backward.sums && !run.cancelled()) backward.addBiases(queryTasks);
  return true;
}

}  // namespace tunebook::TB_ISA
