// One op against its signature: attributes, presence, dtypes, shapes, aliases, workspace. Same rules and words as validate.ts.

#include <cmath>
#include <cstdlib>

#include "signature.h"
#include "workspace.h"

namespace tunebook {
namespace {

constexpr int kMaxNames = 16;

bool equals(const char* word, int length, const char* text) {
  return std::strncmp(word, text, length) == 0 && text[length] == '\0';
}

/** A name in a signature: "w" of "w:float[N,K]". */
struct Parts {
  const char* name;
  int nameLength;
  bool optional;
  const char* type;
  int typeLength;
  const char* sizes;
  int sizesLength;
};

Parts split(const Words& words) {
  const char* colon = static_cast<const char*>(std::memchr(words.word, ':', words.length));
  const char* bracket = static_cast<const char*>(std::memchr(words.word, '[', words.length));
  Parts parts;
  parts.name = words.word;
  parts.nameLength = static_cast<int>(colon - words.word);
  parts.optional = colon[-1] == '?';
  if (parts.optional) parts.nameLength--;
  parts.type = colon + 1;
  parts.typeLength = static_cast<int>(bracket - parts.type);
  parts.sizes = bracket + 1;
  parts.sizesLength = static_cast<int>(words.word + words.length - 1 - parts.sizes);
  return parts;
}

/** Sizes known by name: attributes at first, then axes as they are met. */
struct Sizes {
  struct Entry {
    const char* name;
    int length;
    int64_t value;
  };
  Entry entries[kMaxNames];
  int count = 0;

  const Entry* find(const char* name, int length) const {
    for (int i = 0; i < count; i++) {
      if (entries[i].length == length && std::strncmp(entries[i].name, name, length) == 0) return &entries[i];
    }
    return nullptr;
  }
  int64_t valueOf(const char* name) const { return find(name, static_cast<int>(std::strlen(name)))->value; }

  /** Whether an axis is what `size` says, such as "batch*Q"; binds the one name that is still free, if there is one. */
  bool bind(const char* size, int length, int64_t actual) {
    int64_t product = 1;
    const char* open = nullptr;
    int openLength = 0;
    for (const char *at = size, *end = size + length; at < end;) {
      const char* stop = static_cast<const char*>(std::memchr(at, '*', end - at));
      if (!stop) stop = end;
      const int width = static_cast<int>(stop - at);
      if (*at >= '0' && *at <= '9') {
        product *= std::atoll(at);
      } else if (const Entry* known = find(at, width)) {
        if (known->value > actual) return false;
        product *= known->value;
      } else {
        open = at;
        openLength = width;
      }
      if (product > actual) return false;
      at = stop + 1;
    }
    if (!open) return product == actual;
    if (actual % product != 0 || count == kMaxNames) return false;
    entries[count++] = {open, openLength, actual / product};
    return true;
  }
};

struct Check {
  const Op& op;
  const Signature& signature;
  Status& status;
  Parts parts[kMaxOperands];
  int operands = 0;
  Sizes sizes;

  __attribute__((format(printf, 3, 4))) bool refuse(int operand, const char* format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (operand < 0) return fail(status, TB_REFUSED, op.index, -1, "%s", text);
    const Parts& at = parts[operand];
    return fail(status, TB_REFUSED, op.index, operand, "%s %.*s %s", operand < op.inputs ? "input" : "output", at.nameLength,
                at.name, text);
  }

  void readSignature() {
    for (Words words(signature.inputs); words.next();) parts[operands++] = split(words);
    for (Words words(signature.outputs); words.next();) parts[operands++] = split(words);
  }

  bool attributes() {
    int i = 0;
    for (Words words(signature.attrs); words.next(); i++) {
      const double value = op.attrs[i];
      const bool whole = value == std::floor(value);
      auto wrong = [&](const char* expected) {
        return refuse(-1, "attribute %.*s is %.17g, expected %s", words.length, words.word, value, expected);
      };
      if (words.is("batch") || words.is("heads") || words.is("kvHeads") || words.is("chunk")) {
        if (!whole || value < 1 || value > 0x7fffffff) return wrong("a whole number from 1");
        sizes.entries[sizes.count++] = {words.word, words.length, static_cast<int64_t>(value)};
      }
      if (words.is("accumulate") || words.is("interleaved") || words.is("inverse")) {
        if (value != 0 && value != 1) return wrong("0 or 1");
      }
      if (words.is("stream") && !(whole && value >= 0 && value <= 0xffffffffu)) {
        return wrong("a whole number from 0 to 4294967295");
      }
      if (words.is("p") && !(value >= 0 && value < 1)) return wrong("at least 0 and below 1");
    }
    if (const auto *heads = sizes.find("heads", 5), *kvHeads = sizes.find("kvHeads", 7); heads && kvHeads) {
      if (heads->value % kvHeads->value != 0) {
        return refuse(-1, "attribute heads is %lld, expected a multiple of kvHeads, %lld",
                      static_cast<long long>(heads->value), static_cast<long long>(kvHeads->value));
      }
    }
    return true;
  }

  bool presence() {
    int pair[2], found = 0;
    for (int i = 0; i < operands; i++) {
      if (!op.operands[i].present && !parts[i].optional) return refuse(i, "is absent, and it is not optional");
      for (Words words(signature.together); words.next();) {
        if (words.length == parts[i].nameLength && std::strncmp(words.word, parts[i].name, words.length) == 0) pair[found++] = i;
      }
    }
    if (found == 2 && op.operands[pair[0]].present != op.operands[pair[1]].present) {
      const int absent = op.operands[pair[0]].present ? pair[1] : pair[0], there = absent == pair[0] ? pair[1] : pair[0];
      return refuse(absent, "is absent, but %.*s is there", parts[there].nameLength, parts[there].name);
    }
    return true;
  }

  bool dtypes() {
    static const char* const names[] = {"f32", "bf16", "f16", "i32", "i8", "i4", "nf4"};
    bool actKnown = false;
    DType act = DType::f32;
    for (int i = 0; i < operands; i++) {
      if (!op.operands[i].present) continue;
      const DType type = op.operands[i].type;
      const auto wants = [&](const char* text) { return equals(parts[i].type, parts[i].typeLength, text); };
      const char* expected = nullptr;
      if (wants("act")) {
        if (actKnown ? type != act : type >= DType::i32) expected = actKnown ? names[static_cast<int>(act)] : "f32 or bf16 or f16";
        if (!actKnown) act = type;
        actKnown = true;
      } else if (wants("act/f32")) {
        if (type != DType::f32 && type != act) expected = act == DType::f32 ? "f32" : act == DType::bf16 ? "bf16 or f32" : "f16 or f32";
      } else if (wants("float")) {
        if (type >= DType::i32) expected = "f32 or bf16 or f16";
      } else if (wants("float/quantized")) {
        if (type == DType::i32) expected = "f32 or bf16 or f16 or i8 or i4 or nf4";
      } else if (wants("any")) {
        if (isQuantized(type)) expected = "f32 or bf16 or f16 or i32";
      } else if (wants("f32")) {
        if (type != DType::f32) expected = "f32";
      } else if (wants("i32")) {
        if (type != DType::i32) expected = "i32";
      }
      if (expected) return refuse(i, "has dtype %s, expected %s", names[static_cast<int>(type)], expected);
    }
    if (op.code == Code::cast && isQuantized(op.in(0).type) && isQuantized(op.out(0).type)) {
      return refuse(1, "has dtype %s, expected f32 or bf16 or f16: input x is quantised too", names[static_cast<int>(op.out(0).type)]);
    }
    return true;
  }

  bool wrongShape(int i) {
    char shape[128] = "";
    int at = 0;
    for (int axis = 0; axis < op.operands[i].rank; axis++) {
      at += snprintf(shape + at, sizeof shape - at, "%s%lld", axis ? ", " : "", static_cast<long long>(op.operands[i].shape[axis]));
      if (at >= static_cast<int>(sizeof shape)) break;
    }
    return refuse(i, "has shape [%s], expected [%.*s]", shape, parts[i].sizesLength, parts[i].sizes);
  }

  bool shapes() {
    const Operand* any = nullptr;
    for (int i = 0; i < operands; i++) {
      const Operand& operand = op.operands[i];
      if (!operand.present) continue;
      if (equals(parts[i].sizes, parts[i].sizesLength, "...")) {
        if (!any) any = &operand;
        bool same = any->rank == operand.rank;
        for (int axis = 0; same && axis < operand.rank; axis++) same = any->shape[axis] == operand.shape[axis];
        if (!same) return wrongShape(i);
        continue;
      }
      int axis = 0;
      for (const char *at = parts[i].sizes, *end = at + parts[i].sizesLength; at < end; axis++) {
        const char* stop = static_cast<const char*>(std::memchr(at, ',', end - at));
        if (!stop) stop = end;
        if (axis >= operand.rank || !sizes.bind(at, static_cast<int>(stop - at), operand.shape[axis])) return wrongShape(i);
        at = stop + 1;
      }
      if (axis != operand.rank) return wrongShape(i);
    }
    if (op.code == Code::rope && 2 * sizes.valueOf("C") > sizes.valueOf("D")) {
      return refuse(1, "has %lld columns, expected at most half of a head's %lld dimensions",
                    static_cast<long long>(sizes.valueOf("C")), static_cast<long long>(sizes.valueOf("D")));
    }
    return true;
  }

  bool mayShare(int output, int input) {
    for (Words words(signature.inPlace); words.next();) {
      const char* equal = static_cast<const char*>(std::memchr(words.word, '=', words.length));
      const int left = static_cast<int>(equal - words.word), right = words.length - left - 1;
      if (left == parts[output].nameLength && std::strncmp(words.word, parts[output].name, left) == 0 &&
          right == parts[input].nameLength && std::strncmp(equal + 1, parts[input].name, right) == 0) {
        return true;
      }
    }
    return false;
  }

  static bool overlap(int arena, int64_t offset, int64_t bytes, const Operand& other) {
    return arena == other.arena && offset < other.offset + other.bytes() && other.offset < offset + bytes;
  }

  bool aliases() {
    for (int out = op.inputs; out < operands; out++) {
      const Operand& output = op.operands[out];
      if (!output.present) continue;
      for (int i = 0; i < operands; i++) {
        const Operand& other = op.operands[i];
        if (i == out || !other.present || !overlap(output.arena, output.offset, output.bytes(), other)) continue;
        const bool named = i < op.inputs && mayShare(out, i);
        if (named && output.offset == other.offset && output.type == other.type && output.count == other.count) continue;
        return refuse(out, "shares memory with %s %.*s, %s", i < op.inputs ? "input" : "output", parts[i].nameLength,
                      parts[i].name, named ? "but not with the same place and dtype" : "which this op does not allow");
      }
    }
    return true;
  }

  bool workspace(int threads, const int64_t (&arenaBytes)[kArenas]) {
    const int64_t needed = workspaceNeeded(op, threads);
    if (op.workspaceBytes < needed) {
      return refuse(-1, "workspace has %lld bytes, expected %lld for %d threads", static_cast<long long>(op.workspaceBytes),
                    static_cast<long long>(needed), threads);
    }
    if (op.workspaceBytes == 0) return true;
    if (op.workspaceOffset + op.workspaceBytes > arenaBytes[kWorkspace]) {
      return refuse(-1, "workspace ends at byte %lld of the arena workspace, which has %lld",
                    static_cast<long long>(op.workspaceOffset + op.workspaceBytes),
                    static_cast<long long>(arenaBytes[kWorkspace]));
    }
    for (int i = 0; i < operands; i++) {
      if (op.operands[i].present && overlap(kWorkspace, op.workspaceOffset, op.workspaceBytes, op.operands[i])) {
        return refuse(i, "shares memory with the op's workspace");
      }
    }
    return true;
  }
};

}  // namespace

bool validate(const Op& op, int threads, const int64_t (&arenaBytes)[kArenas], Status& status) {
  const Signature& signature = *signatureOf(static_cast<uint32_t>(op.code));
  Check check{op, signature, status, {}, 0, {}};
  check.readSignature();
  return check.attributes() && check.presence() && check.dtypes() && check.shapes() && check.aliases() &&
         check.workspace(threads, arenaBytes);
}

}  // namespace tunebook
