// headLoss: the labelled rows are listed on the device, then for each chunk of them the logits, their loss, and the gradients.
// The list of launches is the same whatever the labels: blocks beyond the labelled rows end at once.

#include "lower.h"

namespace tunebook::cuda {

bool headLoss(const Op& op, Launches& launches) {
  const Operand &x = op.in(0), &w = op.in(1), &labels = op.in(2), &nll = op.out(0), &totals = op.out(1), &dx = op.out(2), &dw = op.out(3),
                &logits = op.out(4);
  const int64_t rows = x.shape[0], width = x.shape[1], vocab = w.shape[0], chunk = op.whole(0);
  LossParams loss = {};
  loss.labels = labels.as<int32_t>();
  loss.rows = reinterpret_cast<int32_t*>(op.workspace);
  loss.labelled = loss.rows + rows;
  loss.logits = logits.as<float>(), loss.nll = nll.as<float>(), loss.totals = totals.as<float>();
  loss.count = rows, loss.vocab = vocab, loss.chunk = chunk;
  loss.gradient = dx.present || dw.present;
  loss.fault = launches.fault();
  if (!clear(launches, nll.data, nll.bytes()) || (dx.present && !clear(launches, dx.data, dx.bytes()))) return false;
  if (!launches.add("list_labels", {1}, 1024, loss)) return false;

  const bool half = x.type != DType::f32;
  const auto whole = [&](int64_t m, int64_t n) {
    Cut cut = cutOf(m, n, 0, 0, half);
    cut.splits = 1;
    return cut;
  };
  // The slopes of the logits, rounded to x's dtype on their way into the products.
  const Matrix slopes{logits.data, nullptr, vocab, kF32, vocab % 8 == 0};
  for (int64_t base = 0; base < rows; base += chunk) {
    const int64_t here = least(chunk, rows - base);
    Matrix labelled = matrixOf(x);
    labelled.rows = loss.rows + base;
    ProductParams product = neutralProduct();
    product.limit = loss.labelled, product.base = base, product.limits = 1;

    product.m = here, product.n = vocab;
    product.stretches[0] = {labelled, matrixOf(w), width, 0};
    product.out = logits.data, product.outType = kF32, product.outStride = vocab;
    if (!multiply(launches, product, x.type, false, false, whole(here, vocab))) return false;
    loss.base = base;
    if (!launches.add("row_loss", {here}, kBlock, loss)) return false;

    product.scale = launches.uniforms() + kLossScale;
    if (dx.present) {
      product.n = width;
      product.stretches[0] = {slopes, matrixOf(w), vocab, 0};
      product.out = dx.data, product.outType = typeOf(dx), product.outStride = width, product.outRows = labelled.rows;
      if (!multiply(launches, product, x.type, false, true, whole(here, width))) return false;
      product.outRows = nullptr;
    }
    if (dw.present) {
      product.m = vocab, product.n = width, product.limits = 2;
      product.stretches[0] = {slopes, labelled, here, 0};
      product.out = dw.data, product.outType = kF32, product.outStride = width, product.accumulate = 1;
      if (!multiply(launches, product, x.type, true, true, whole(vocab, width))) return false;
    }
  }
  return launches.add("loss_totals", {1}, kBlock, loss);
}

}  // namespace tunebook::cuda
