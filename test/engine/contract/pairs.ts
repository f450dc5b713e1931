// Forward ops with what claims to be their gradient, and the same forward written directly in TensorFlow.js, whose autodiff is a second opinion.

import type { Device } from "../../../src/engine/device.js";
import { IGNORED } from "../../../src/engine/ops.js";
import { keepsElement } from "../../../src/engine/random.js";
import { type OneOp, type Operand, runOne } from "./build.js";
import { ints, Make, ranges } from "./make.js";

export type Tf = typeof import("@tensorflow/tfjs");
export type Tensor = import("@tensorflow/tfjs").Tensor;
type Inputs = Readonly<Record<string, Operand>>;
type Numbers = Readonly<Record<string, Float64Array>>;

export interface Pair {
  readonly title: string;
  /** What is differentiated, f32. */
  readonly inputs: Inputs;
  readonly forward: (inputs: Inputs) => OneOp;
  /** Name of the forward's result, and the gradient that arrives there. */
  readonly output: string;
  readonly arriving: Operand;
  /** Gradients by input, from the backward ops of a device. `results` are those of the forward. */
  readonly backward: (device: Device, arriving: Operand, results: Numbers) => Promise<Numbers>;
  readonly inTf: (tf: Tf, inputs: Readonly<Record<string, Tensor>>) => Tensor;
}

const make = new Make("f32");
const like = ({ shape }: Operand): Operand => ({ shape });
const zeros = ({ shape }: Operand): Operand => ({ shape, data: new Float64Array(shape.reduce((a, b) => a * b, 1)) });
const holding = ({ shape }: Operand, data: Float64Array): Operand => ({ shape, data });

function rowsPair(op: "embedding" | "gatherRows", table: string, index: string): Pair {
  const inputs = { [table]: make.f32([5, 3]) };
  const rows = ints([4], [2, 0, 2, 4]);
  return {
    title: `${op} and embeddingWeight`,
    inputs,
    forward: (now) => ({ op, operands: { ...now, [index]: rows, y: make.out([4, 3]) } }),
    output: "y",
    arriving: make.f32([4, 3]),
    backward: async (device, dy) => {
      const operands = { dy, ids: rows, dWeight: zeros(inputs[table]) };
      return { [table]: (await runOne(device, { op: "embeddingWeight", operands }))["dWeight"] };
    },
    inTf: (tf, now) => tf.gather(now[table], tf.tensor1d([...(rows.data as number[])], "int32")),
  };
}

function rmsNormPair(): Pair {
  const inputs = { x: make.f32([3, 7]), weight: make.f32([7]) };
  const eps = 0.01;
  return {
    title: "rmsNorm, rmsNormInput and rmsNormWeight",
    inputs,
    forward: (now) => ({
      op: "rmsNorm",
      operands: { ...now, y: make.out([3, 7]), rstd: make.out([3]) },
      attrs: { eps },
    }),
    output: "y",
    arriving: make.f32([3, 7]),
    backward: async (device, dy, results) => {
      const shared = { dy, x: inputs.x, rstd: holding({ shape: [3] }, results["rstd"]) };
      const toInput = { ...shared, weight: inputs.weight, dx: like(inputs.x) };
      const input = await runOne(device, { op: "rmsNormInput", operands: toInput, attrs: { accumulate: 0 } });
      const toWeight = { ...shared, dWeight: zeros(inputs.weight) };
      const weight = await runOne(device, { op: "rmsNormWeight", operands: toWeight });
      return { x: input["dx"], weight: weight["dWeight"] };
    },
    inTf: (tf, { x, weight }) => tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), 1, true), eps))), weight),
  };
}

/** y = x Wᵀ + bias + scale (x Aᵀ) Bᵀ: the adapter's own product h = x Aᵀ is made by a first linear. */
function linearPair(): Pair {
  const [t, k, n, rank, scale] = [3, 5, 4, 2, 0.5];
  const inputs = {
    x: make.f32([t, k]),
    w: make.f32([n, k]),
    bias: make.f32([n]),
    h: make.f32([t, rank]),
    b: make.f32([n, rank]),
  };
  return {
    title: "linear with bias and adapter, linearInput, linearWeight and linearBias",
    inputs,
    forward: (now) => ({ op: "linear", operands: { ...now, y: make.out([t, n]) }, attrs: { scale } }),
    output: "y",
    arriving: make.f32([t, n]),
    backward: async (device, dy) => {
      const input = (w: Operand, to: Operand, alpha: number) =>
        runOne(device, { op: "linearInput", operands: { dy, w, dx: like(to) }, attrs: { alpha, accumulate: 0 } });
      const weight = (x: Operand, to: Operand, alpha: number) =>
        runOne(device, { op: "linearWeight", operands: { dy, x, dW: zeros(to) }, attrs: { alpha } });
      return {
        x: (await input(inputs.w, inputs.x, 1))["dx"],
        w: (await weight(inputs.x, inputs.w, 1))["dW"],
        bias: (await runOne(device, { op: "linearBias", operands: { dy, db: zeros(inputs.bias) } }))["db"],
        h: (await input(inputs.b, inputs.h, scale))["dx"],
        b: (await weight(inputs.h, inputs.b, scale))["dW"],
      };
    },
    inTf: (tf, { x, w, bias, h, b }) =>
      tf.add(tf.add(tf.matMul(x, w, false, true), bias), tf.mul(scale, tf.matMul(h, b, false, true))),
  };
}

function ropePair(interleaved: 0 | 1): Pair {
  const [t, heads, headDim, cols] = [4, 2, 6, 2];
  const inputs = { x: make.f32([t, heads * headDim]) };
  const angles = Array.from({ length: 5 * cols }, (_, i) => Math.floor(i / cols) * 0.7 + (i % cols));
  const table = {
    cos: { shape: [5, cols], data: angles.map(Math.cos) },
    sin: { shape: [5, cols], data: angles.map(Math.sin) },
    positions: ints([t], [3, 0, 4, 1]),
  };
  return {
    title: `rope turned there and back, ${interleaved ? "interleaved" : "half"} pairs`,
    inputs,
    forward: (now) => ({
      op: "rope",
      operands: { ...now, ...table, y: make.out([t, heads * headDim]) },
      attrs: { heads, interleaved, inverse: 0 },
    }),
    output: "y",
    arriving: make.f32([t, heads * headDim]),
    backward: async (device, dy) => {
      const operands = { x: dy, ...table, y: like(inputs.x) };
      return { x: (await runOne(device, { op: "rope", operands, attrs: { heads, interleaved, inverse: 1 } }))["y"] };
    },
    // One matrix that turns every number of a row, per token: slow, but written from the definition.
    inTf: (tf, { x }) => {
      const turned = tf.unstack(x).map((row, token) => {
        const position = (table.positions.data as number[])[token];
        const width = heads * headDim;
        const matrix = Array.from({ length: width }, (_, i) =>
          Array.from({ length: width }, (_, j) => Number(i === j)),
        );
        for (let head = 0; head < heads; head++) {
          for (let i = 0; i < cols; i++) {
            const start = head * headDim;
            const [a, b] = interleaved ? [start + 2 * i, start + 2 * i + 1] : [start + i, start + i + cols];
            const angle = angles[position * cols + i];
            [matrix[a][a], matrix[a][b]] = [Math.cos(angle), -Math.sin(angle)];
            [matrix[b][b], matrix[b][a]] = [Math.cos(angle), Math.sin(angle)];
          }
        }
        return tf.matMul(tf.tensor2d(matrix), row.reshape([width, 1])).reshape([width]);
      });
      return tf.stack(turned);
    },
  };
}

function attentionPair(title: string, range: (row: number, t: number) => readonly [number, number]): Pair {
  const [batch, seqQ, seqK, heads, kvHeads, headDim, scale] = [2, 4, 5, 4, 2, 3, 0.6];
  const inputs = {
    q: make.f32([batch * seqQ, heads * headDim]),
    k: make.f32([batch * seqK, kvHeads * headDim]),
    v: make.f32([batch * seqK, kvHeads * headDim]),
  };
  const seen = ranges(batch, seqQ, range);
  const attrs = { batch, heads, kvHeads, scale };
  return {
    title: `attention and attentionBackward, ${title}`,
    inputs,
    forward: (now) => ({
      op: "attention",
      operands: { ...now, ranges: seen, o: like(inputs.q), lse: make.out([batch * seqQ, heads]) },
      attrs,
    }),
    output: "o",
    arriving: make.f32([batch * seqQ, heads * headDim]),
    backward: async (device, dOut, results) => {
      const kept = {
        o: holding(inputs.q, results["o"]),
        lse: holding({ shape: [batch * seqQ, heads] }, results["lse"]),
      };
      const gradients = { dq: like(inputs.q), dk: like(inputs.k), dv: like(inputs.v) };
      const operands = { do: dOut, ...inputs, ...kept, ranges: seen, ...gradients };
      const { dq, dk, dv } = await runOne(device, { op: "attentionBackward", operands, attrs });
      return { q: dq, k: dk, v: dv };
    },
    // Head by head and row by row of the batch, with tf.softmax over the keys that are seen.
    inTf: (tf, { q, k, v }) => {
      const rows: Tensor[] = [];
      for (let row = 0; row < batch * seqQ; row++) {
        const [start, end] = (seen.data as number[]).slice(2 * row, 2 * row + 2);
        const from = Math.floor(row / seqQ) * seqK + start;
        const parts = Array.from({ length: heads }, (_, head) => {
          if (end <= start) return tf.zeros([1, headDim]);
          const column = Math.floor(head / (heads / kvHeads)) * headDim;
          const keys = k.slice([from, column], [end - start, headDim]);
          const values = v.slice([from, column], [end - start, headDim]);
          const query = q.slice([row, head * headDim], [1, headDim]);
          return tf.matMul(tf.softmax(tf.mul(scale, tf.matMul(query, keys, false, true))), values);
        });
        rows.push(tf.concat(parts, 1));
      }
      return tf.concat(rows, 0);
    },
  };
}

function swigluPair(): Pair {
  const inputs = { gate: make.f32([3, 5], 2), up: make.f32([3, 5]) };
  return {
    title: "swiglu and swigluBackward",
    inputs,
    forward: (now) => ({ op: "swiglu", operands: { ...now, y: make.out([3, 5]) } }),
    output: "y",
    arriving: make.f32([3, 5]),
    backward: async (device, dy) => {
      const operands = { dy, ...inputs, dGate: like(inputs.gate), dUp: like(inputs.up) };
      const { dGate, dUp } = await runOne(device, { op: "swigluBackward", operands });
      return { gate: dGate, up: dUp };
    },
    inTf: (tf, { gate, up }) => tf.mul(tf.mul(gate, tf.sigmoid(gate)), up),
  };
}

function dropoutPair(): Pair {
  const inputs = { x: make.f32([4, 6]) };
  const [attrs, uniforms] = [
    { p: 0.4, stream: 2 },
    { seed: 11, step: 3, micro: 1 },
  ];
  const kept = Array.from({ length: 24 }, (_, i) => (keepsElement(0.4, 11, 3, 1, 2, i) ? 1 / 0.6 : 0));
  return {
    title: "dropout, forward and backward by the same call",
    inputs,
    forward: (now) => ({ op: "dropout", operands: { ...now, y: make.out([4, 6]) }, attrs, uniforms }),
    output: "y",
    arriving: make.f32([4, 6]),
    backward: async (device, dy) => {
      const operands = { x: dy, y: like(inputs.x) };
      return { x: (await runOne(device, { op: "dropout", operands, attrs, uniforms }))["y"] };
    },
    inTf: (tf, { x }) => tf.mul(x, tf.tensor2d(kept, [4, 6])),
  };
}

function headLossPair(): Pair {
  const [t, h, vocab, lossScale] = [4, 5, 6, 2];
  // Small logits: the difference oracle leaves out the fifth derivative, which grows with the fifth power of x.
  const inputs = { x: make.f32([t, h], 0.5), w: make.f32([vocab, h], 0.5) };
  const labels = [5, IGNORED, 0, 3];
  const one = (now: Inputs, more: Inputs = {}): OneOp => ({
    op: "headLoss",
    operands: {
      ...now,
      labels: ints([t], labels),
      nll: make.out([t]),
      totals: zeros({ shape: [2] }),
      logits: make.out([3, vocab]),
      ...more,
    },
    attrs: { chunk: 3 },
    uniforms: { lossScale },
  });
  return {
    title: "headLoss and its own gradients",
    inputs,
    forward: (now) => one(now),
    output: "nll",
    arriving: { shape: [t], data: new Array<number>(t).fill(lossScale) },
    backward: async (device) => {
      const { dx, dw } = await runOne(device, one(inputs, { dx: like(inputs.x), dw: zeros(inputs.w) }));
      return { x: dx, w: dw };
    },
    inTf: (tf, { x, w }) => {
      const chosen = tf.tensor2d(
        labels.flatMap((label) => Array.from({ length: vocab }, (_, i) => Number(i === label))),
        [t, vocab],
      );
      return tf.neg(tf.sum(tf.mul(tf.logSoftmax(tf.matMul(x, w, false, true)), chosen), 1));
    },
  };
}

export const pairs: readonly Pair[] = [
  rowsPair("embedding", "weight", "ids"),
  rowsPair("gatherRows", "x", "rows"),
  rmsNormPair(),
  linearPair(),
  ropePair(0),
  ropePair(1),
  attentionPair("causal", (_, t) => [0, t + 1]),
  attentionPair("packed, padded and bidirectional", (row, t) =>
    row === 0 ? (t < 2 ? [0, t + 1] : [2, t + 1]) : t < 3 ? [0, 5] : [0, 0],
  ),
  swigluPair(),
  dropoutPair(),
  headLossPair(),
];
