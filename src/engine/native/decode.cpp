// Serialized Program -> Program. Every number is suspect until it was compared with what it must be. Layout: program.ts.

#include <cmath>

#include "program.h"
#include "signature.h"

namespace tunebook {
namespace {

constexpr uint32_t kMagic = 0x01504254;
constexpr double kLargest = 9007199254740992.0;  // 2^53: every whole number up to here is exact

/** Reads 8-byte fields one after another and notices the end. */
class Reader {
 public:
  Reader(const uint8_t* bytes, size_t count) : bytes_(bytes), count_(count) {}

  bool has(uint64_t cells) const { return cells <= (count_ - at_) / 8; }
  bool atEnd() const { return at_ == count_; }

  uint32_t word() {
    uint32_t value;
    std::memcpy(&value, bytes_ + at_, 4);
    at_ += 4;
    return value;
  }
  double number() {
    double value;
    std::memcpy(&value, bytes_ + at_, 8);
    at_ += 8;
    return value;
  }

 private:
  const uint8_t* bytes_;
  size_t count_;
  size_t at_ = 0;
};

bool isWhole(double value, double from) { return value >= from && value <= kLargest && value == std::floor(value); }

bool decodeBuffer(Reader& reader, uint32_t index, const Program& program, Operand& buffer, Status& status) {
  auto refuse = [&](const char* what, double value) {
    return fail(status, TB_REFUSED, -1, -1, "buffer %u: %s is %.17g", index, what, value);
  };
  if (!reader.has(3)) return fail(status, TB_REFUSED, -1, -1, "the bytes end within buffer %u", index);
  const uint32_t arena = reader.word(), type = reader.word();
  const double offset = reader.number();
  const uint32_t rank = reader.word();
  reader.word();
  if (arena >= kArenas) return refuse("the arena's code", arena);
  if (type >= kDTypes) return refuse("the dtype's code", type);
  if (rank > kMaxRank) return refuse("the rank, at most 8,", rank);
  if (!reader.has(rank)) return fail(status, TB_REFUSED, -1, -1, "the bytes end within buffer %u", index);
  buffer.present = true;
  buffer.arena = static_cast<int>(arena);
  buffer.type = static_cast<DType>(type);
  buffer.rank = static_cast<int>(rank);
  double count = 1;
  for (uint32_t i = 0; i < rank; i++) {
    const double size = reader.number();
    if (!isWhole(size, 1)) return refuse("a size, expected a whole number from 1,", size);
    count *= size;
    if (count > kLargest) return refuse("the number of elements", count);
    buffer.shape[i] = static_cast<int64_t>(size);
  }
  buffer.count = static_cast<int64_t>(count);
  if (!isWhole(offset, 0) || std::fmod(offset, kAlignment) != 0) return refuse("the offset, a multiple of 256,", offset);
  buffer.offset = static_cast<int64_t>(offset);
  if (isQuantized(buffer.type)) {
    if (rank != 2) return refuse("the rank, expected 2 for a quantised matrix,", rank);
    if (buffer.type != DType::i8 && buffer.shape[1] % 2 != 0) return refuse("the columns, expected an even number in 4 bits,", buffer.shape[1]);
    if (arena != kWeights) return refuse("the arena's code, expected that of weights for a quantised matrix,", arena);
  }
  const double end = offset + static_cast<double>(buffer.bytes());
  if (end > static_cast<double>(program.arenaBytes[arena])) return refuse("its end, beyond its arena,", end);
  return true;
}

bool decodeOp(Reader& reader, int64_t index, const std::vector<Operand>& buffers, Op& op, Status& status) {
  auto refuse = [&](const char* what, double value) {
    return fail(status, TB_REFUSED, index, -1, "%s is %.17g", what, value);
  };
  if (!reader.has(4)) return fail(status, TB_REFUSED, index, -1, "the bytes end within it");
  const uint32_t code = reader.word(), inputs = reader.word(), outputs = reader.word(), attrs = reader.word();
  const double offset = reader.number(), bytes = reader.number();
  const Signature* signature = signatureOf(code);
  if (!signature) return refuse("the op's code", code);
  if (inputs != static_cast<uint32_t>(countWords(signature->inputs))) return refuse("the number of inputs", inputs);
  if (outputs != static_cast<uint32_t>(countWords(signature->outputs))) return refuse("the number of outputs", outputs);
  if (attrs != static_cast<uint32_t>(countWords(signature->attrs))) return refuse("the number of attributes", attrs);
  if (!reader.has(uint64_t{inputs} + outputs + attrs)) return fail(status, TB_REFUSED, index, -1, "the bytes end within it");
  if (!isWhole(bytes, 0)) return refuse("the size of its workspace", bytes);
  if (!isWhole(offset, 0) || std::fmod(offset, kAlignment) != 0) return refuse("the offset of its workspace", offset);
  op.code = static_cast<Code>(code);
  op.index = index;
  op.inputs = static_cast<int>(inputs);
  op.workspaceOffset = static_cast<int64_t>(offset);
  op.workspaceBytes = static_cast<int64_t>(bytes);
  for (uint32_t i = 0; i < inputs + outputs; i++) {
    const double place = reader.number();
    if (place == -1) continue;
    if (!isWhole(place, 0) || place >= static_cast<double>(buffers.size())) {
      return fail(status, TB_REFUSED, index, static_cast<int>(i), "the operand is buffer %.17g of %zu", place, buffers.size());
    }
    op.operands[i] = buffers[static_cast<size_t>(place)];
  }
  for (uint32_t i = 0; i < attrs; i++) {
    op.attrs[i] = reader.number();
    if (!std::isfinite(op.attrs[i])) return refuse("an attribute, expected a finite number,", op.attrs[i]);
  }
  return true;
}

}  // namespace

bool decode(const uint8_t* bytes, size_t count, int threads, Program& program, Status& status) {
  auto refuse = [&](const char* message) { return fail(status, TB_REFUSED, -1, -1, "%s", message); };
  if (count % 8 != 0 || count < 16) return refuse("the bytes are no serialized program: wrong length");
  Reader reader(bytes, count);
  if (reader.word() != kMagic) return refuse("the bytes are no serialized program of this version: wrong first word");
  if (reader.word() != kArenas) return refuse("the number of arenas is not 8");
  const uint32_t bufferCount = reader.word(), opCount = reader.word();
  if (!reader.has(kArenas)) return refuse("the bytes end within the arenas");
  for (int i = 0; i < kArenas; i++) {
    const double size = reader.number();
    if (!isWhole(size, 0)) return fail(status, TB_REFUSED, -1, -1, "arena %d: the size is %.17g", i, size);
    program.arenaBytes[i] = static_cast<int64_t>(size);
  }
  // Each buffer and each op takes at least 3 cells, so counts that the bytes cannot hold are refused before memory is taken.
  if (!reader.has(3 * (uint64_t{bufferCount} + opCount))) return refuse("the bytes are too few for their counts");
  std::vector<Operand> buffers(bufferCount);
  for (uint32_t i = 0; i < bufferCount; i++) {
    if (!decodeBuffer(reader, i, program, buffers[i], status)) return false;
  }
  program.ops.resize(opCount);
  for (uint32_t i = 0; i < opCount; i++) {
    if (!decodeOp(reader, i, buffers, program.ops[i], status)) return false;
    if (!validate(program.ops[i], threads, program.arenaBytes, status)) return false;
  }
  if (!reader.atEnd()) return refuse("bytes are left over after the last op");
  return true;
}

}  // namespace tunebook
