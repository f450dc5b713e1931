// The head's product, cross-entropy and their gradients, a chunk of labelled rows at a time. Formulas: ops.ts.

#include "../gemm/product.h"
#include "kernels.h"

#include <cmath>

namespace tunebook::TB_ISA {
namespace {

/** The largest of a row; NaN when one of them is. */
float largestOf(const float* row, int64_t count) {
  Floats top = splat(-__builtin_inff());
  Ints unordered = {};
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    const Floats v = load(row + j);
    top = larger(v, top);
    unordered |= v != v;
  }
  float result = largest(top);
  for (; j < count; j++) {
    if (!(row[j] <= result)) result = row[j];
  }
  for (int64_t lane = 0; lane < kLanes; lane++) {
    if (unordered[lane]) result = __builtin_nanf("");
  }
  return result;
}

/** What one chunk works on. The workspace is: row numbers, dx in f32 when it is asked for, then the products' scratch. */
struct Chunk {
  const Op& op;
  Run& run;
  const Operand &x, &w, &labels, &nll, &totals, &dx, &dw, &logits;
  int32_t* rows;
  float* wideDx;
  char* scratch;
  int64_t count = 0;

  int64_t width() const { return x.shape[1]; }
  int64_t vocab() const { return w.shape[0]; }
  bool half() const { return x.type == DType::bf16; }
  Factor labelled(bool turned) const { return {x.data, x.type, width(), turned, rows, false}; }

  void makeLogits() {
    Product product;
    product.m = count;
    product.n = vocab();
    product.half = half();
    product.stretches[0] = {labelled(false), {w.data, w.type, width(), false, nullptr, half()}, width(), 0};
    product.out = logits.data;
    product.outStride = vocab();
    multiply(product, scratch, run);
  }

  /** nll of one row; its logits become the gradient of lossScale * nll where a gradient is asked for, stored as `gradient` says. */
  void rowLoss(int64_t i) {
    float* row = logits.as<float>() + i * vocab();
    const int64_t label = labels.as<int32_t>()[rows[i]];
    const float peak = largestOf(row, vocab()), own = row[label];
    constexpr int64_t kBlock = 1024;
    double total = 0;
    for (int64_t start = 0; start < vocab(); start += kBlock) {
      const int64_t end = least(vocab(), start + kBlock);
      Floats part = {};
      int64_t j = start;
      for (; j + kLanes <= end; j += kLanes) {
        const Floats v = exponential(load(row + j) - peak);
        store(row + j, v);
        part += v;
      }
      total += sum(part);
      for (; j < end; j += kLanes) {
        store(row + j, exponential(load(row + j, end - j) - peak), end - j);
        for (int64_t k = j; k < least(end, j + kLanes); k++) total += row[k];
      }
    }
    nll.as<float>()[rows[i]] = static_cast<float>(peak + std::log(total) - own);
    if (!dx.present && !dw.present) return;
    const double scale = run.uniforms[kLossScale];
    const auto each = static_cast<float>(scale / total);
    const float correct = row[label] * each - static_cast<float>(scale);
    const auto finish = [&](auto* out) {
      // Never ahead of what is read: an element of 16 bits lies before, or at, the f32 it is made of.
      for (int64_t j = 0; j < vocab(); j += kLanes) store(out + j, load(row + j, vocab() - j) * each, vocab() - j);
      narrow(out[label], correct);
    };
    if (half()) finish(reinterpret_cast<bf16*>(row));
    else finish(row);
  }

  /** The gradient of the logits from column `first` on: f32, or bf16 where x is, each row at the start of where its logits were. */
  Factor gradient(int64_t first, bool turned) const {
    const DType type = half() ? DType::bf16 : DType::f32;
    const int64_t size = bytesOf(type);
    return {logits.data + size * first, type, vocab() * 4 / size, turned, nullptr, false};
  }

  /** dx = dLogits w, summed in f32 over blocks of the vocabulary, then moved to the labelled rows. */
  void makeDx() {
    for (int64_t start = 0; start < vocab() && !run.cancelled(); start += kVocabBlock) {
      const int64_t here = least(kVocabBlock, vocab() - start);
      const char* part = w.data + start * width() * bytesOf(w.type);
      Product product;
      product.m = count;
      product.n = width();
      product.half = half();
      product.stretches[0] = {gradient(start, false), {part, w.type, width(), true, nullptr, half()}, here, 0};
      product.out = reinterpret_cast<char*>(wideDx);
      product.outStride = width();
      product.accumulate = start > 0;
      multiply(product, scratch, run);
    }
    withAct(dx.type, [&](auto* act) {
      using T = std::remove_pointer_t<decltype(act)>;
      run.pieces(count, divideUp(kPiece, width()), [&](int64_t from, int64_t to) {
        for (int64_t i = from; i < to; i++) {
          T* out = dx.as<T>() + rows[i] * width();
          for (int64_t j = 0; j < width(); j += kLanes) store(out + j, load(wideDx + i * width() + j, width() - j), width() - j);
        }
      });
    });
  }

  void makeDw() {
    Product product;
    product.m = vocab();
    product.n = width();
    product.half = half();
    product.stretches[0] = {gradient(0, true), labelled(true), count, 0};
    product.out = dw.data;
    product.outStride = width();
    product.accumulate = true;
    multiply(product, scratch, run);
  }
};

/** False, with the reason, unless every label is IGNORED or in the vocabulary. */
bool checkLabels(const Op& op, Run& run) {
  const Operand& labels = op.in(2);
  const int64_t vocab = op.in(1).shape[0];
  for (int64_t t = 0; t < labels.count; t++) {
    const int32_t label = labels.as<int32_t>()[t];
    if (label == kIgnored || (label >= 0 && label < vocab)) continue;
    return fail(run.status, TB_FAILED, op.index, 2, "labels[%lld] is %d, expected 0 to %lld", static_cast<long long>(t), label,
                static_cast<long long>(vocab - 1));
  }
  return true;
}

}  // namespace

bool headLoss(const Op& op, Run& run) {
  if (!checkLabels(op, run)) return false;
  const int64_t atOnce = op.whole(0);
  Chunk chunk{op,        run,       op.in(0),  op.in(1), op.in(2), op.out(0), op.out(1), op.out(2), op.out(3), op.out(4),
              reinterpret_cast<int32_t*>(op.workspace), nullptr, op.workspace + aligned(4 * atOnce)};
  if (chunk.dx.present) {
    chunk.wideDx = reinterpret_cast<float*>(chunk.scratch);
    chunk.scratch += aligned(4 * atOnce * chunk.width());
    std::memset(chunk.dx.data, 0, static_cast<size_t>(chunk.dx.bytes()));
  }
  std::memset(chunk.nll.data, 0, static_cast<size_t>(chunk.nll.bytes()));
  double sum = 0;
  int64_t labelled = 0;
  for (int64_t next = 0; next < chunk.labels.count && !run.cancelled();) {
    chunk.count = 0;
    for (; next < chunk.labels.count && chunk.count < atOnce; next++) {
      if (chunk.labels.as<int32_t>()[next] != kIgnored) chunk.rows[chunk.count++] = static_cast<int32_t>(next);
    }
    if (chunk.count == 0) break;
    chunk.makeLogits();
    run.each(chunk.count, [&](int64_t i, int) { chunk.rowLoss(i); });
    if (chunk.dx.present) chunk.makeDx();
    if (chunk.dw.present) chunk.makeDw();
    for (int64_t i = 0; i < chunk.count; i++) sum += chunk.nll.as<float>()[chunk.rows[i]];
    labelled += chunk.count;
  }
  float* totals = chunk.totals.as<float>();
  totals[0] = static_cast<float>(totals[0] + sum);
  totals[1] = static_cast<float>(totals[1] + static_cast<double>(labelled));
  return true;
}

}  // namespace tunebook::TB_ISA
