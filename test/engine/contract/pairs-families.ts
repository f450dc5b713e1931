// Forward ops of GLM and T5 with what claims to be their gradient, and the same forward written directly in TensorFlow.js. As pairs.ts.

import { type Operand, runOne } from "./build.js";
import { ints, Make, ranges } from "./make.js";
import type { Pair, Tensor, Tf } from "./pairs.js";

const make = new Make("f32");
const like = ({ shape }: Operand): Operand => ({ shape });
const zeros = ({ shape }: Operand): Operand => ({ shape, data: new Float64Array(shape.reduce((a, b) => a * b, 1)) });
const holding = ({ shape }: Operand, data: Float64Array): Operand => ({ shape, data });

function layerNormPair(): Pair {
  const inputs = { x: make.f32([3, 7]), weight: make.f32([7]), bias: make.f32([7]) };
  const eps = 0.1;
  return {
    title: "layerNorm, layerNormInput, layerNormWeight and linearBias",
    inputs,
    forward: (now) => ({
      op: "layerNorm",
      operands: { ...now, y: make.out([3, 7]), mean: make.out([3]), rstd: make.out([3]) },
      attrs: { eps },
    }),
    output: "y",
    arriving: make.f32([3, 7]),
    backward: async (device, dy, results) => {
      const [mean, rstd] = ["mean", "rstd"].map((name) => holding({ shape: [3] }, results[name]));
      const shared = { dy, x: inputs.x, mean, rstd };
      const toInput = { ...shared, weight: inputs.weight, dx: like(inputs.x) };
      const input = await runOne(device, { op: "layerNormInput", operands: toInput, attrs: { accumulate: 0 } });
      const toWeight = { ...shared, dWeight: zeros(inputs.weight) };
      const weight = await runOne(device, { op: "layerNormWeight", operands: toWeight });
      const bias = await runOne(device, { op: "linearBias", operands: { dy, db: zeros(inputs.bias) } });
      return { x: input["dx"], weight: weight["dWeight"], bias: bias["db"] };
    },
    inTf: (tf, { x, weight, bias }) => {
      const { mean, variance } = tf.moments(x, 1, true);
      return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, eps))), weight), bias);
    },
  };
}

const geluIn = (tf: Tf, x: Tensor): Tensor => {
  const inner = tf.mul(0.7978845608028654, tf.mul(x, tf.add(1, tf.mul(0.044715, tf.square(x)))));
  return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(inner)));
};

function elementPair(op: "gelu" | "relu", inTf: (tf: Tf, x: Tensor) => Tensor): Pair {
  // Away from relu's corner, which differences would cut.
  const x = make.f32([3, 5], 2);
  const inputs = {
    x: { ...x, data: Float64Array.from(x.data as Float64Array, (value) => value + Math.sign(value) / 4) },
  };
  return {
    title: `${op} and ${op}Backward`,
    inputs,
    forward: (now) => ({ op, operands: { ...now, y: make.out([3, 5]) } }),
    output: "y",
    arriving: make.f32([3, 5]),
    backward: async (device, dy) => {
      const operands = { dy, ...inputs, dx: like(inputs.x) };
      return { x: (await runOne(device, { op: `${op}Backward`, operands }))["dx"] };
    },
    inTf: (tf, { x }) => inTf(tf, x),
  };
}

function gegluPair(): Pair {
  const inputs = { gate: make.f32([3, 5], 2), up: make.f32([3, 5]) };
  return {
    title: "geglu and gegluBackward",
    inputs,
    forward: (now) => ({ op: "geglu", operands: { ...now, y: make.out([3, 5]) } }),
    output: "y",
    arriving: make.f32([3, 5]),
    backward: async (device, dy) => {
      const operands = { dy, ...inputs, dGate: like(inputs.gate), dUp: like(inputs.up) };
      const { dGate, dUp } = await runOne(device, { op: "gegluBackward", operands });
      return { gate: dGate, up: dUp };
    },
    inTf: (tf, { gate, up }) => tf.mul(geluIn(tf, gate), up),
  };
}

function scaledAddPair(): Pair {
  const inputs = { a: make.f32([3, 5]), b: make.f32([3, 5]) };
  return {
    title: "scaledAdd, whose gradient is scaledAdd of one, and the gradient itself",
    inputs,
    forward: (now) => ({ op: "scaledAdd", operands: { ...now, y: make.out([3, 5]) }, attrs: { alpha: 2.5 } }),
    output: "y",
    arriving: make.f32([3, 5]),
    backward: async (device, dy) => {
      const operands = { a: dy, y: like(dy) };
      const { y } = await runOne(device, { op: "scaledAdd", operands, attrs: { alpha: 2.5 } });
      return { a: y, b: Float64Array.from(dy.data as ArrayLike<number>) };
    },
    inTf: (tf, { a, b }) => tf.add(tf.mul(2.5, a), b),
  };
}

function joinHeadsPair(): Pair {
  const [t, heads, headDim] = [2, 2, 3];
  const inputs = {
    a: make.f32([t, heads * headDim]),
    b: make.f32([t, heads * headDim]),
    c: make.f32([t, heads * headDim]),
  };
  const attrs = { heads };
  return {
    title: "joinHeads and splitHeads, each the other's gradient",
    inputs,
    forward: (now) => ({ op: "joinHeads", operands: { ...now, x: make.out([t, 3 * heads * headDim]) }, attrs }),
    output: "x",
    arriving: make.f32([t, 3 * heads * headDim]),
    backward: async (device, x) => {
      const operands = { x, a: like(inputs.a), b: like(inputs.b), c: like(inputs.c) };
      return (await runOne(device, { op: "splitHeads", operands, attrs })) as Record<"a" | "b" | "c", Float64Array>;
    },
    inTf: (tf, { a, b, c }) => {
      const head = (part: Tensor, at: number) => part.slice([0, at * headDim], [t, headDim]);
      const all = Array.from({ length: heads }, (_, at) => [head(a, at), head(b, at), head(c, at)]);
      return tf.concat(all.flat(), 1);
    },
  };
}

function ropeSectionsPair(): Pair {
  const [t, heads, sections, cols] = [4, 2, 2, 2];
  const width = heads * sections * 2 * cols;
  const inputs = { x: make.f32([t, width]) };
  const angles = Array.from({ length: 5 * cols }, (_, i) => Math.floor(i / cols) * 0.7 + (i % cols));
  const places = [3, 0, 0, 4, 4, 1, 1, 2];
  const table = {
    cos: { shape: [5, cols], data: angles.map(Math.cos) },
    sin: { shape: [5, cols], data: angles.map(Math.sin) },
    positions: ints([t, sections], places),
  };
  return {
    title: "ropeSections turned there and back",
    inputs,
    forward: (now) => ({
      op: "ropeSections",
      operands: { ...table, ...now, y: make.out([t, width]) },
      attrs: { heads, inverse: 0 },
    }),
    output: "y",
    arriving: make.f32([t, width]),
    backward: async (device, dy) => {
      const operands = { ...table, x: dy, y: like(dy) };
      return { x: (await runOne(device, { op: "ropeSections", operands, attrs: { heads, inverse: 1 } }))["y"] };
    },
    // Pair by pair, as a rotation in the plane.
    inTf: (tf, { x }) => {
      const column = (at: number) => x.slice([0, at], [t, 1]);
      const columns: Tensor[] = [];
      for (let at = 0; at < width; at++) {
        const [part, i, second] = [Math.floor(at / (2 * cols)), at % cols, Math.floor(at / cols) % 2];
        const turn = (of: (angle: number) => number) =>
          tf.tensor2d(
            Array.from({ length: t }, (_, row) => [of(angles[places[row * sections + (part % sections)] * cols + i])]),
          );
        const [c, s] = [turn(Math.cos), turn(Math.sin)];
        columns.push(
          second
            ? tf.add(tf.mul(column(at), c), tf.mul(column(at - cols), s))
            : tf.sub(tf.mul(column(at), c), tf.mul(column(at + cols), s)),
        );
      }
      return tf.concat(columns, 1);
    },
  };
}

function attentionBiasedPair(
  title: string,
  start: number,
  range: (row: number, t: number) => readonly [number, number],
): Pair {
  const [batch, seqQ, seqK, heads, kvHeads, headDim, scale] = [2, 3, 5, 4, 2, 3, 0.6];
  const inputs = {
    q: make.f32([batch * seqQ, heads * headDim]),
    k: make.f32([batch * seqK, kvHeads * headDim]),
    v: make.f32([batch * seqK, kvHeads * headDim]),
    bias: make.f32([3, heads]),
  };
  const table = [2, 1, 0, 1, 1]; // distances -2 to 2
  const seen = ranges(batch, seqQ, range);
  const places = Array.from({ length: batch * seqQ }, (_, i) => start + (i % seqQ));
  const fixed = { ranges: seen, positions: ints([batch * seqQ], places), buckets: ints([5], table) };
  const attrs = { batch, heads, kvHeads, scale };
  return {
    title: `attentionBiased and attentionBiasedBackward, ${title}`,
    inputs,
    forward: (now) => ({
      op: "attentionBiased",
      operands: { ...now, ...fixed, o: like(inputs.q), lse: make.out([batch * seqQ, heads]) },
      attrs,
    }),
    output: "o",
    arriving: make.f32([batch * seqQ, heads * headDim]),
    backward: async (device, dOut, results) => {
      const lse = holding({ shape: [batch * seqQ, heads] }, results["lse"]);
      const kept = { do: dOut, ...inputs, ...fixed, o: holding(inputs.q, results["o"]), lse };
      const gradients = { dq: like(inputs.q), dk: like(inputs.k), dv: like(inputs.v), dBias: zeros(inputs.bias) };
      const operands = { ...kept, ...gradients };
      const { dq, dk, dv, dBias } = await runOne(device, { op: "attentionBiasedBackward", operands, attrs });
      return { q: dq, k: dk, v: dv, bias: dBias };
    },
    // Head by head and query by query, the biases picked one by one.
    inTf: (tf, { q, k, v, bias }) => {
      const rows: Tensor[] = [];
      for (let row = 0; row < batch * seqQ; row++) {
        const [first, end] = (seen.data as number[]).slice(2 * row, 2 * row + 2);
        const from = Math.floor(row / seqQ) * seqK + first;
        const parts = Array.from({ length: heads }, (_, head) => {
          if (end <= first) return tf.zeros([1, headDim]);
          const column = Math.floor(head / (heads / kvHeads)) * headDim;
          const keys = k.slice([from, column], [end - first, headDim]);
          const values = v.slice([from, column], [end - first, headDim]);
          const query = q.slice([row, head * headDim], [1, headDim]);
          const added = Array.from({ length: end - first }, (_, s) => {
            const distance = Math.min(Math.max(first + s - places[row], -2), 2);
            return bias.slice([table[distance + 2], head], [1, 1]);
          });
          const scores = tf.add(tf.mul(scale, tf.matMul(query, keys, false, true)), tf.concat(added, 1));
          return tf.matMul(tf.softmax(scores), values);
        });
        rows.push(tf.concat(parts, 1));
      }
      return tf.concat(rows, 0);
    },
  };
}

export const familyPairs: readonly Pair[] = [
  layerNormPair(),
  elementPair("gelu", geluIn),
  elementPair("relu", (tf, x) => tf.relu(x)),
  gegluPair(),
  scaledAddPair(),
  joinHeadsPair(),
  ropeSectionsPair(),
  attentionBiasedPair("both directions and one row that sees nothing", 0, (row, t) =>
    row === 1 && t === 2 ? [0, 0] : [0, 5],
  ),
  attentionBiasedPair("causal, queries from the second key on", 2, (_, t) => [0, 3 + t]),
];
