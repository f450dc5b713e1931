// From ops to launches: the small ones here, products, loss and attention in files of their own.

#include "lower.h"

#include <cmath>

namespace tunebook::cuda {
namespace {

bool norm(const Op& op, Launches& launches) {
  const Operand &x = op.in(0), &weight = op.in(1);
  NormParams params = {};
  params.x = x.data, params.weight = weight.data, params.y = op.out(0).data, params.rstd = op.out(1).as<float>();
  params.rows = x.shape[0], params.width = x.shape[1], params.eps = op.attrs[0];
  params.type = typeOf(x), params.weightType = typeOf(weight);
  return launches.add("rms_norm", {params.rows}, kBlock, params);
}

bool normInput(const Op& op, Launches& launches) {
  const Operand &dy = op.in(0), &x = op.in(1), &weight = op.in(2);
  NormParams params = {};
  params.dy = dy.data, params.x = x.data, params.weight = weight.data, params.rstd = op.in(3).as<float>(), params.dx = op.out(0).data;
  params.rows = x.shape[0], params.width = x.shape[1], params.accumulate = op.attrs[0] == 1;
  params.type = typeOf(x), params.weightType = typeOf(weight);
  return launches.add("rms_norm_input", {params.rows}, kBlock, params);
}

bool columnSums(const Operand& dy, const Operand* x, float* rstd, const Operand& out, Launches& launches) {
  NormParams params = {};
  params.dy = dy.data, params.x = x ? x->data : nullptr, params.rstd = rstd, params.dWeight = out.as<float>();
  params.rows = dy.shape[0], params.width = dy.shape[1], params.type = typeOf(dy);
  return launches.add("column_sums", {divideUp(params.width, 32)}, kBlock, params);
}

bool rope(const Op& op, Launches& launches) {
  const Operand &x = op.in(0), &cos = op.in(1);
  RopeParams params = {};
  params.x = x.data, params.y = op.out(0).data, params.cos = cos.as<float>(), params.sin = op.in(2).as<float>();
  params.positions = op.in(3).as<int32_t>();
  params.rows = x.shape[0], params.heads = static_cast<int32_t>(op.whole(0));
  params.headDim = static_cast<int32_t>(x.shape[1] / params.heads);
  params.table = static_cast<int32_t>(cos.shape[0]), params.cols = static_cast<int32_t>(cos.shape[1]);
  params.interleaved = op.attrs[1] == 1, params.sign = op.attrs[2] == 1 ? -1.0f : 1.0f, params.type = typeOf(x);
  params.fault = launches.fault();
  return launches.add("rope", {params.rows}, kBlock, params);
}

/** `index` names one row each of `table` rows. */
bool moveRows(const char* kernel, const Operand& from, const Operand& to, const Operand& index, int64_t table, Launches& launches) {
  RowsParams params = {};
  params.from = from.data, params.to = to.data, params.index = index.as<int32_t>();
  params.count = index.count, params.width = from.shape[1], params.table = table;
  params.fromType = typeOf(from), params.toType = typeOf(to);
  params.fault = launches.fault();
  return launches.add(kernel, {params.count}, kBlock, params);
}

bool elements(const char* kernel, const Op& op, Launches& launches) {
  ElementParams params = {};
  params.a = op.in(0).data;
  if (op.inputs > 1) params.b = op.in(1).data;
  if (op.inputs > 2) params.c = op.in(2).data;
  params.y = op.out(0).data, params.z = op.code == tunebook::Code::swigluBackward ? op.out(1).data : nullptr;
  params.count = op.in(0).count, params.type = typeOf(op.in(0)), params.outType = typeOf(op.out(0));
  if (op.code == tunebook::Code::dropout) {
    const double p = op.attrs[0];
    params.uniforms = launches.uniforms();
    params.stream = static_cast<uint32_t>(op.attrs[1]);
    // The 24 random bits, over 2^24, are at least p just when the bits are at least p * 2^24 rounded up.
    params.threshold = static_cast<uint32_t>(std::ceil(p * 0x1p24));
    params.scale = static_cast<float>(1.0 / (1.0 - p));
  }
  return launches.add(kernel, elementGrid(params.count), kBlock, params);
}

bool sumSquares(const Op& op, Launches& launches) {
  SquaresParams params = {};
  params.x = op.in(0).as<float>(), params.sums = reinterpret_cast<double*>(op.workspace), params.total = op.out(0).as<float>();
  params.count = op.in(0).count, params.blocks = divideUp(params.count, kSquaresBlock);
  return launches.add("square_blocks", {params.blocks}, kBlock, params) && launches.add("square_total", {1}, kBlock, params);
}

bool adamw(const Op& op, Launches& launches) {
  AdamParams params = {};
  params.grad = op.in(0).as<float>(), params.total = op.in(1).as<float>();
  params.param = op.out(0).as<float>(), params.m = op.out(1).as<float>(), params.v = op.out(2).as<float>();
  params.uniforms = launches.uniforms(), params.count = op.in(0).count;
  params.beta1 = op.attrs[0], params.beta2 = op.attrs[1], params.eps = op.attrs[2];
  params.decay = op.attrs[3], params.rateFactor = op.attrs[4];
  return launches.add("adamw", {least(divideUp(params.count, kBlock), 8192)}, kBlock, params);
}

}  // namespace

bool clear(Launches& launches, void* place, int64_t bytes) {
  ElementParams params = {};
  params.y = place, params.count = bytes / 2;
  return launches.add("zero", elementGrid(params.count), kBlock, params);
}

bool lower(const Op& op, Launches& launches) {
  using Op_ = tunebook::Code;
  for (const Operand& operand : op.operands) {
    if (operand.present && typeOf(operand) > kI32) return launches.refuse("has a quantised operand, which no kernel on a GPU reads yet");
  }
  switch (op.code) {
    case Op_::embedding: return moveRows("gather_rows", op.in(0), op.out(0), op.in(1), op.in(0).shape[0], launches);
    case Op_::embeddingWeight: return moveRows("add_rows", op.in(0), op.out(0), op.in(1), op.out(0).shape[0], launches);
    case Op_::rmsNorm: return norm(op, launches);
    case Op_::rmsNormInput: return normInput(op, launches);
    case Op_::rmsNormWeight: return columnSums(op.in(0), &op.in(1), op.in(2).as<float>(), op.out(0), launches);
    case Op_::linear: return linear(op, launches);
    case Op_::linearInput: return linearInput(op, launches);
    case Op_::linearWeight: return linearWeight(op, launches);
    case Op_::linearBias: return columnSums(op.in(0), nullptr, nullptr, op.out(0), launches);
    case Op_::rope: return rope(op, launches);
    case Op_::attention: return attention(op, launches);
    case Op_::attentionBackward: return attentionBackward(op, launches);
    case Op_::swiglu: return elements("swiglu", op, launches);
    case Op_::swigluBackward: return elements("swiglu_backward", op, launches);
    case Op_::add: return elements("add", op, launches);
    case Op_::cast: return elements("cast", op, launches);
    case Op_::gatherRows: return moveRows("gather_rows", op.in(0), op.out(0), op.in(1), op.in(0).shape[0], launches);
    case Op_::writeRows: return moveRows("write_rows", op.in(0), op.out(0), op.in(1), op.out(0).shape[0], launches);
    case Op_::headLoss: return headLoss(op, launches);
    case Op_::zero: return clear(launches, op.out(0).data, op.out(0).bytes());
    case Op_::sumSquares: return sumSquares(op, launches);
    case Op_::adamw: return adamw(op, launches);
    case Op_::dropout: return elements("dropout", op, launches);
    default: return launches.refuse("has no kernel on a GPU yet: train on the cpu device");
  }
}

}  // namespace tunebook::cuda
