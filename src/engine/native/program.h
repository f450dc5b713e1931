// A Program as native code holds it: every operand found in memory, every attribute checked. Made by decode.cpp.
#pragma once

#include <memory>
#include <vector>

#include "quantized.h"
#include "status.h"

namespace tunebook {

constexpr int kArenas = 8;
/** Positions in `categories` of program.ts. */
constexpr int kWeights = 0;
constexpr int kWorkspace = 5;
constexpr int64_t kAlignment = 256;
constexpr int kMaxRank = 8;
constexpr int kMaxOperands = 14;
constexpr int kMaxAttrs = 5;
constexpr int kUniforms = 7;
constexpr int32_t kIgnored = -100;

/** Position in the uniforms buffer, as in ops.ts. */
enum Uniform { kLearningRate, kStep, kGradScale, kClipNorm, kLossScale, kSeed, kMicro };

/** Codes as in ops.ts. */
enum class Code : uint32_t {
  embedding = 1,
  embeddingWeight,
  rmsNorm,
  rmsNormInput,
  rmsNormWeight,
  linear,
  linearInput,
  linearWeight,
  linearBias,
  rope,
  attention,
  attentionBackward,
  swiglu,
  swigluBackward,
  add,
  cast,
  gatherRows,
  writeRows,
  headLoss,
  zero,
  sumSquares,
  adamw,
  dropout,
  layerNorm,
  layerNormInput,
  layerNormWeight,
  gelu,
  geluBackward,
  geglu,
  gegluBackward,
  relu,
  reluBackward,
  scaledAdd,
  splitHeads,
  joinHeads,
  ropeSections,
  attentionBiased,
  attentionBiasedBackward,
};
constexpr uint32_t kCodes = 39;

struct Operand {
  /** nullptr when absent, or before the Program was bound to arenas. */
  char* data = nullptr;
  bool present = false;
  DType type = DType::f32;
  int rank = 0;
  int64_t shape[kMaxRank] = {};
  int64_t count = 0;
  int arena = 0;
  int64_t offset = 0;

  int64_t bytes() const { return isQuantized(type) ? quantizedLayout(type, shape[0], shape[1]).bytes : count * bytesOf(type); }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
};

struct Op {
  Code code = Code::zero;
  int64_t index = 0;
  int inputs = 0;
  /** Inputs first, then outputs. */
  Operand operands[kMaxOperands];
  double attrs[kMaxAttrs] = {};
  char* workspace = nullptr;
  int64_t workspaceOffset = 0;
  int64_t workspaceBytes = 0;

  const Operand& in(int i) const { return operands[i]; }
  const Operand& out(int i) const { return operands[inputs + i]; }
  int64_t whole(int i) const { return static_cast<int64_t>(attrs[i]); }
};

struct Program {
  int64_t arenaBytes[kArenas] = {};
  std::vector<Op> ops;
};

/** Bytes to Program; refuses whatever does not hold, whatever the bytes are. `threads` decides how much workspace an op needs. */
bool decode(const uint8_t* bytes, size_t count, int threads, Program& program, Status& status);

/** Dtypes, shapes, attributes and aliases of one op against the table of signature.cpp, and its workspace. */
bool validate(const Op& op, int threads, const int64_t (&arenaBytes)[kArenas], Status& status);

}  // namespace tunebook
