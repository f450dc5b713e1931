// The backward of a trace: one table entry per op, in the order of ops.ts, each in terms of other ops. Next to read: plan.ts.
//
// Gradients of trained tensors are added to buffers that outlive the run; gradients of values live as briefly as the planner can make
// them. Where an op can add to its output, a second contribution is added in place.

import type { OpName } from "../engine/ops.js";
import { ShapeError, type Tensor } from "./tensor.js";
import type { Node, Scope, Trace } from "./trace.js";
import { atOnce, type Work } from "./turns.js";

/** The gradients still on their way back. */
class Backward {
  readonly #pending = new Map<Tensor, Tensor>();
  /** Nodes whose input's gradient was already computed together with another's. */
  readonly inputDone = new Set<Node>();
  readonly #makers = new Map<Tensor, Node>();
  #seen = 0;

  constructor(readonly trace: Trace) {}

  /** The node whose first output a tensor is. */
  makerOf(tensor: Tensor): Node | undefined {
    const { nodes } = this.trace;
    for (; this.#seen < nodes.length; this.#seen++) {
      const node = nodes[this.#seen] as Node;
      const [made] = node.outputs;
      if (made && !this.#makers.has(made)) this.#makers.set(made, node);
    }
    return this.#makers.get(tensor);
  }

  take(tensor: Tensor | undefined): Tensor | undefined {
    if (!tensor) return undefined;
    const gradient = this.#pending.get(tensor);
    this.#pending.delete(tensor);
    return gradient;
  }

  /** Hand on a gradient that exists. */
  give(tensor: Tensor, gradient: Tensor): void {
    if (!tensor.learns) return;
    const sum = this.#pending.get(tensor);
    if (!sum) {
      this.#pending.set(tensor, gradient);
      return;
    }
    const y = this.#alone(sum) ? sum : this.like(tensor);
    this.trace.record("add", [sum, gradient], [y], []);
    this.#pending.set(tensor, y);
  }

  /**
   * Where an op that can add shall put its contribution, and whether it must add: 1, or 0 when it is the first.
   *
   * @param dy - What the op reads: a sum that is the same tensor cannot be added to while it is read.
   */
  into(tensor: Tensor, dy: Tensor): { readonly target: Tensor; readonly accumulate: 0 | 1 } {
    const sum = this.#pending.get(tensor);
    if (sum && sum !== dy && this.#alone(sum)) return { target: sum, accumulate: 1 };
    const target = this.like(tensor);
    if (sum) this.trace.record("cast", [sum], [target], []);
    this.#pending.set(tensor, target);
    return { target, accumulate: sum ? 1 : 0 };
  }

  like(tensor: Tensor): Tensor {
    return this.trace.value(`d(${tensor.name})`, tensor.dtype, tensor.shape);
  }

  /** Add alpha * dyᵀ x to the gradient of a trained matrix. */
  weight(w: Tensor | undefined, dy: Tensor, x: Tensor, alpha = 1): void {
    if (w?.place !== "trained") return;
    this.trace.record("linearWeight", [dy, x], [this.trace.gradient(w)], [alpha]);
  }

  /** A gradient may be added to in place only while nobody else waits for the same tensor. */
  #alone(gradient: Tensor): boolean {
    let holders = 0;
    for (const held of this.#pending.values()) if (held === gradient) holders += 1;
    return holders === 1;
  }
}

type Rule = (back: Backward, node: Node, dy: Tensor) => void;

/** The operands of a node whose spec says they are there. */
function operands<const Count extends number>(node: Node, _count: Count): Tensor[] {
  return node.inputs as Tensor[];
}

const rules: Partial<Record<OpName, Rule>> = {
  embedding(back, node, dy) {
    const [weight, ids] = operands(node, 2) as [Tensor, Tensor];
    back.trace.record("embeddingWeight", [dy, ids], [back.trace.gradient(weight)], []);
  },

  rmsNorm(back, node, dy) {
    const [x, weight] = operands(node, 2) as [Tensor, Tensor];
    const rstd = node.outputs[1];
    if (weight.place === "trained")
      back.trace.record("rmsNormWeight", [dy, x, rstd], [back.trace.gradient(weight)], []);
    if (!x.learns) return;
    const { target, accumulate } = back.into(x, dy);
    back.trace.record("rmsNormInput", [dy, x, weight, rstd], [target], [accumulate]);
  },

  linear(back, node, dy) {
    const { trace } = back;
    const [x, w, bias, h, b] = node.inputs as [Tensor, Tensor, Tensor?, Tensor?, Tensor?];
    const [scale] = node.attrs as [number];
    const inner = h && back.makerOf(h);
    let g: Tensor | undefined;
    if (h && b) {
      back.weight(b, dy, h, scale);
      g = back.like(h);
      trace.record("linearInput", [dy, b, undefined, undefined], [g], [scale, 0]);
      back.give(h, g);
    }
    if (bias?.place === "trained") trace.record("linearBias", [dy], [trace.gradient(bias)], []);
    back.weight(w, dy, x);
    if (!x.learns || back.inputDone.has(node)) return;
    // The adapter reads the same x: its share of dx rides along in this product instead of reading dx again.
    const shared = inner?.inputs[0] === x ? inner : undefined;
    const { target, accumulate } = back.into(x, dy);
    trace.record("linearInput", [dy, w, shared && g, shared?.inputs[1]], [target], [1, accumulate]);
    if (shared) back.inputDone.add(shared);
  },

  rope(back, node, dy) {
    const [x, cos, sin, positions] = operands(node, 4) as [Tensor, Tensor, Tensor, Tensor];
    const [heads, interleaved] = node.attrs as [number, number];
    const dx = back.like(x);
    back.trace.record("rope", [dy, cos, sin, positions], [dx], [heads, interleaved, 1]);
    back.give(x, dx);
  },

  attention(back, node, dy) {
    const [q, k, v, ranges] = operands(node, 4) as [Tensor, Tensor, Tensor, Tensor];
    const [o, lse] = node.outputs as [Tensor, Tensor];
    const [dq, dk, dv] = [back.like(q), back.like(k), back.like(v)];
    back.trace.record("attentionBackward", [dy, q, k, v, o, lse, ranges], [dq, dk, dv], node.attrs);
    back.give(q, dq);
    back.give(k, dk);
    back.give(v, dv);
  },

  swiglu(back, node, dy) {
    const [gate, up] = operands(node, 2) as [Tensor, Tensor];
    const [dGate, dUp] = [back.like(gate), back.like(up)];
    back.trace.record("swigluBackward", [dy, gate, up], [dGate, dUp], []);
    back.give(gate, dGate);
    back.give(up, dUp);
  },

  add(back, node, dy) {
    const [a, b] = operands(node, 2) as [Tensor, Tensor];
    back.give(a, dy);
    back.give(b, dy);
  },

  cast(back, node, dy) {
    const [x] = operands(node, 1) as [Tensor];
    const dx = back.like(x);
    back.trace.record("cast", [dy], [dx], []);
    back.give(x, dx);
  },

  dropout(back, node, dy) {
    const [x] = operands(node, 1) as [Tensor];
    const dx = back.like(x);
    back.trace.record("dropout", [dy], [dx], node.attrs);
    back.give(x, dx);
  },

  layerNorm(back, node, dy) {
    const { trace } = back;
    const [x, weight, bias] = operands(node, 3) as [Tensor, Tensor, Tensor];
    const [, mean, rstd] = node.outputs;
    if (weight.place === "trained") trace.record("layerNormWeight", [dy, x, mean, rstd], [trace.gradient(weight)], []);
    if (bias.place === "trained") trace.record("linearBias", [dy], [trace.gradient(bias)], []);
    if (!x.learns) return;
    const { target, accumulate } = back.into(x, dy);
    trace.record("layerNormInput", [dy, x, weight, mean, rstd], [target], [accumulate]);
  },

  gelu(back, node, dy) {
    const [x] = operands(node, 1) as [Tensor];
    const dx = back.like(x);
    back.trace.record("geluBackward", [dy, x], [dx], []);
    back.give(x, dx);
  },

  geglu(back, node, dy) {
    const [gate, up] = operands(node, 2) as [Tensor, Tensor];
    const [dGate, dUp] = [back.like(gate), back.like(up)];
    back.trace.record("gegluBackward", [dy, gate, up], [dGate, dUp], []);
    back.give(gate, dGate);
    back.give(up, dUp);
  },

  relu(back, node, dy) {
    const [x] = operands(node, 1) as [Tensor];
    const dx = back.like(x);
    back.trace.record("reluBackward", [dy, x], [dx], []);
    back.give(x, dx);
  },

  scaledAdd(back, node, dy) {
    const [a, b] = node.inputs as [Tensor, Tensor?];
    if (a.learns) {
      const da = back.like(a);
      back.trace.record("scaledAdd", [dy, undefined], [da], node.attrs);
      back.give(a, da);
    }
    if (b) back.give(b, dy);
  },

  splitHeads(back, node, da) {
    const [x] = operands(node, 1) as [Tensor];
    const [db, dc] = node.outputs.slice(1).map((part) => back.take(part));
    if (!db || !dc) throw new ShapeError(`differentiate: splitHeads of "${x.name}": all three parts must be used`);
    const dx = back.like(x);
    back.trace.record("joinHeads", [da, db, dc], [dx], node.attrs);
    back.give(x, dx);
  },

  ropeSections(back, node, dy) {
    const [cos, sin, positions, x] = operands(node, 4) as [Tensor, Tensor, Tensor, Tensor];
    const [heads] = node.attrs as [number];
    const dx = back.like(x);
    back.trace.record("ropeSections", [cos, sin, positions, dy], [dx], [heads, 1]);
    back.give(x, dx);
  },

  attentionBiased(back, node, dy) {
    const [q, k, v, ranges, positions, bias, buckets] = node.inputs as Tensor[];
    const [o, lse] = node.outputs;
    const [dq, dk, dv] = [q, k, v].map((tensor) => back.like(tensor as Tensor)) as [Tensor, Tensor, Tensor];
    const dBias = bias?.place === "trained" ? back.trace.gradient(bias) : undefined;
    const inputs = [dy, q, k, v, o, lse, ranges, positions, bias, buckets];
    back.trace.record("attentionBiasedBackward", inputs, [dq, dk, dv, dBias], node.attrs);
    back.give(q as Tensor, dq);
    back.give(k as Tensor, dk);
    back.give(v as Tensor, dv);
  },
};

/**
 * Append the gradient of lossScale * the sum of nll behind `totals` with respect to every trained tensor of the trace.
 *
 * @throws ShapeError when `totals` is no result of headLoss, or nothing that trains is behind it, or an op on the way has no gradient.
 */
export function differentiate(trace: Trace, totals: Tensor): void {
  atOnce(differentiating(trace, totals));
}

/** The same in pieces. */
export function* differentiating(trace: Trace, totals: Tensor): Work<void> {
  const at = trace.nodes.findIndex((node) => node.op === "headLoss" && node.outputs[1] === totals);
  if (at < 0) throw new ShapeError(`differentiate: expected the totals of headLoss, got "${totals.name}"`);
  if (!totals.learns) throw new ShapeError("differentiate: nothing that trains is behind the loss");
  const back = new Backward(trace);
  const loss = trace.nodes[at] as Node;
  const [x, w] = loss.inputs as [Tensor, Tensor];
  // The loss op makes its gradients in the same pass over the logits.
  const dx = x.learns ? back.like(x) : undefined;
  const dw = w.place === "trained" ? trace.gradient(w) : undefined;
  const [nll, , , , logits] = loss.outputs;
  trace.nodes[at] = { ...loss, outputs: [nll, totals, dx, dw, logits] };
  if (dx) back.give(x, dx);

  for (let end = at; end > 0; ) {
    const scope = recomputedScope(trace, end);
    const start = scope?.start ?? end - 1;
    const nodes = trace.nodes.slice(start, end);
    backward(back, scope ? again(back, nodes) : nodes);
    end = start;
    yield;
  }
  dropUnread(trace);
}

function backward(back: Backward, nodes: readonly Node[]): void {
  for (const node of [...nodes].reverse()) {
    const dy = back.take(node.outputs[0]);
    if (!dy) continue;
    const rule = rules[node.op];
    if (!rule)
      throw new ShapeError(`differentiate: "${node.op}" has no gradient, and something that trains is behind it`);
    rule(back, node, dy);
  }
}

/** The widest scope that ends before this node and is not kept. */
function recomputedScope(trace: Trace, end: number): Scope | undefined {
  const candidates = trace.scopes.filter((scope) => scope.recompute && scope.end === end && scope.start < end);
  return candidates.sort((a, b) => a.start - b.start)[0];
}

/**
 * Run a stretch of the forward once more, on values of its own, so that those of the first time need not be kept.
 * The same ops on the same operands give the same bits. What of it nobody reads is dropped afterwards.
 *
 * @see Chen et al. 2016, Training deep nets with sublinear memory cost, https://arxiv.org/abs/1604.06174
 */
function again(back: Backward, nodes: readonly Node[]): readonly Node[] {
  const { trace } = back;
  const copies = new Map<Tensor, Tensor>();
  return nodes.map((node) => {
    const outputs = node.outputs.map((tensor) => {
      if (!tensor) return undefined;
      if (tensor.place !== "value") {
        throw new ShapeError(`differentiate: "${tensor.name}" is ${tensor.place} and cannot be computed a second time`);
      }
      const { dtype, shape, learns } = tensor;
      const copy = trace.value(`${tensor.name}'`, dtype, shape, { learns });
      copies.set(tensor, copy);
      const dy = back.take(tensor);
      if (dy) back.give(copy, dy);
      return copy;
    });
    return trace.record(
      node.op,
      node.inputs.map((tensor) => (tensor && copies.get(tensor)) ?? tensor),
      outputs,
      node.attrs,
    );
  });
}

/** Remove ops whose results nobody reads. */
function dropUnread(trace: Trace): void {
  const read = new Set<Tensor>();
  const kept: Node[] = [];
  for (const node of [...trace.nodes].reverse()) {
    const lasts = node.outputs.some((tensor) => tensor && tensor.place !== "value" && tensor.place !== "scratch");
    if (!lasts && !node.outputs.some((tensor) => tensor && read.has(tensor))) continue;
    for (const tensor of node.inputs) if (tensor) read.add(tensor);
    kept.push(node);
  }
  trace.nodes.splice(0, trace.nodes.length, ...kept.reverse());
}
