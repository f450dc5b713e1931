// Heads taken apart and put together, and rotary positions of several sections. Formulas: ops.ts.

#include "kernels.h"

namespace tunebook::TB_ISA {
namespace {

/** Copy every head's parts between x [rows, heads * 3 * headDim] and three operands, from x when `split`. */
bool moveHeads(const Operand& x, const Operand& a, const Operand& b, const Operand& c, int64_t heads, bool split, Run& run) {
  const int64_t rows = x.shape[0], bytes = x.shape[1] / heads / 3 * bytesOf(x.type);
  const Operand* const parts[3] = {&a, &b, &c};
  run.pieces(rows, divideUp(kPiece, x.shape[1]), [&](int64_t from, int64_t to) {
    for (int64_t i = from * heads; i < to * heads; i++) {
      for (int64_t p = 0; p < 3; p++) {
        char *whole = x.data + (3 * i + p) * bytes, *part = parts[p]->data + i * bytes;
        std::memcpy(split ? part : whole, split ? whole : part, static_cast<size_t>(bytes));
      }
    }
  });
  return true;
}

}  // namespace

bool splitHeads(const Op& op, Run& run) {
  return moveHeads(op.in(0), op.out(0), op.out(1), op.out(2), op.whole(0), true, run);
}

bool joinHeads(const Op& op, Run& run) {
  return moveHeads(op.out(0), op.in(0), op.in(1), op.in(2), op.whole(0), false, run);
}

bool ropeSections(const Op& op, Run& run) {
  const Operand &cos = op.in(0), &sin = op.in(1), &positions = op.in(2), &x = op.in(3), &y = op.out(0);
  if (!checkIndices(op, run, 2, "positions", cos.shape[0], false)) return false;
  const int64_t width = x.shape[1], heads = op.whole(0), cols = cos.shape[1], sections = positions.shape[1];
  const float sign = op.attrs[1] == 1 ? -1.0f : 1.0f;
  withAct(x.type, [&](auto* act) {
    using T = std::remove_pointer_t<decltype(act)>;
    run.pieces(x.shape[0], divideUp(kPiece, width), [&](int64_t from, int64_t to) {
      for (int64_t t = from; t < to; t++) {
        for (int64_t part = 0; part < heads * sections; part++) {
          const int64_t place = positions.as<int32_t>()[t * sections + part % sections];
          const T* in = x.as<T>() + t * width + part * 2 * cols;
          T* out = y.as<T>() + t * width + part * 2 * cols;
          for (int64_t i = 0; i < cols; i += kLanes) {
            const int64_t left = cols - i;
            const Floats c = load(cos.as<float>() + place * cols + i, left), s = load(sin.as<float>() + place * cols + i, left) * sign;
            const Floats a = load(in + i, left), b = load(in + cols + i, left);
            store(out + i, a * c - b * s, left);
            store(out + cols + i, b * c + a * s, left);
          }
        }
      }
    });
  });
  return true;
}

}  // namespace tunebook::TB_ISA
