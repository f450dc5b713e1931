// linear and its gradients: which kernel, cut how. Next to read: kernels/product.cu.

#include "lower.h"

namespace tunebook::cuda {

bool multiply(Launches& launches, ProductParams params, DType act, bool turnedA, bool turnedB, const Cut& cut) {
  const char* letters = turnedA ? "tt" : turnedB ? "kt" : "kk";
  const bool half = act != DType::f32;
  char name[64];
  unsigned threads = kBlock, sharedBytes = 0;
  if (half) {
    snprintf(name, sizeof name, "product_%s_%s_%s", act == DType::bf16 ? "bf16" : "f16", letters, cut.large ? "large" : "small");
    threads = cut.large ? 256 : 128;
    const auto tile = [&](bool turned) { return turned ? 32 * (cut.side + 8) : cut.side * (32 + 8); };
    sharedBytes = static_cast<unsigned>((cut.large ? 4 : 3) * 2 * (tile(turnedA) + tile(turnedB)));
  } else {
    snprintf(name, sizeof name, "product_f32_%s", letters);
  }
  params.splits = static_cast<int32_t>(cut.splits);
  const Grid grid{divideUp(params.m, cut.side), divideUp(params.n, cut.side), cut.splits};
  if (!launches.add(name, grid, threads, params, sharedBytes)) return false;
  return cut.splits == 1 || launches.add("product_sum", {least(divideUp(params.m * params.n, kBlock), 8192)}, kBlock, params);
}

static bool linearFew(const Op& op, Launches& launches) {
  const Operand &x = op.in(0), &w = op.in(1), &bias = op.in(2), &h = op.in(3), &b = op.in(4), &y = op.out(0);
  FewParams params = {};
  params.x = x.data, params.w = w.data, params.bias = bias.data, params.h = h.data, params.b = b.data, params.y = y.data;
  params.rows = static_cast<int32_t>(x.shape[0]);
  params.type = typeOf(x), params.wType = typeOf(w), params.biasType = typeOf(bias), params.bType = typeOf(b), params.yType = typeOf(y);
  params.vector = 1;
  params.scale = static_cast<float>(op.attrs[0]);
  params.n = w.shape[0], params.k = w.shape[1], params.rank = h.present ? h.shape[1] : 0;
  return launches.add("product_few", {divideUp(params.n, kBlock / 32)}, kBlock, params);
}

bool linear(const Op& op, Launches& launches) {
  const Operand &x = op.in(0), &w = op.in(1), &bias = op.in(2), &h = op.in(3), &b = op.in(4), &y = op.out(0);
  if (x.shape[0] <= kFewRows) return linearFew(op, launches);
  ProductParams params = neutralProduct();
  params.m = x.shape[0], params.n = w.shape[0];
  // The adapter's product goes first: the step to the second stretch multiplies it by `scale`, exactly, before x Wᵀ is added.
  params.count = 0;
  if (h.present) params.stretches[params.count++] = {matrixOf(h), matrixOf(b), h.shape[1], 0};
  params.stretches[params.count++] = {matrixOf(x), matrixOf(w), x.shape[1], static_cast<float>(op.attrs[0])};
  params.out = y.data, params.outType = typeOf(y), params.outStride = params.n;
  params.bias = bias.data, params.biasType = typeOf(bias);
  params.parts = reinterpret_cast<float*>(op.workspace);
  return multiply(launches, params, x.type, false, false,
                  cutOf(params.m, params.n, x.shape[1], h.present ? h.shape[1] : 0, x.type != DType::f32));
}

bool linearInput(const Op& op, Launches& launches) {
  const Operand &dy = op.in(0), &w = op.in(1), &g = op.in(2), &a = op.in(3), &dx = op.out(0);
  const float alpha = static_cast<float>(op.attrs[0]);
  ProductParams params = neutralProduct();
  params.m = dy.shape[0], params.n = w.shape[1];
  params.stretches[0] = {matrixOf(dy), matrixOf(w), dy.shape[1], 0};
  if (g.present) params.stretches[params.count++] = {matrixOf(g), matrixOf(a), g.shape[1], alpha};
  else params.alpha = alpha;
  params.accumulate = op.attrs[1] == 1;
  params.out = dx.data, params.outType = typeOf(dx), params.outStride = params.n;
  params.parts = reinterpret_cast<float*>(op.workspace);
  return multiply(launches, params, dy.type, false, true,
                  cutOf(params.m, params.n, dy.shape[1], g.present ? g.shape[1] : 0, dy.type != DType::f32));
}

bool linearWeight(const Op& op, Launches& launches) {
  const Operand &dy = op.in(0), &x = op.in(1), &dW = op.out(0);
  ProductParams params = neutralProduct();
  params.m = dy.shape[1], params.n = x.shape[1];
  params.stretches[0] = {matrixOf(dy), matrixOf(x), dy.shape[0], 0};
  params.alpha = static_cast<float>(op.attrs[0]);
  params.accumulate = 1;
  params.out = dW.data, params.outType = typeOf(dW), params.outStride = params.n;
  params.parts = reinterpret_cast<float*>(op.workspace);
  return multiply(launches, params, dy.type, true, true, cutOf(params.m, params.n, dy.shape[0], 0, dy.type != DType::f32));
}

}  // namespace tunebook::cuda
