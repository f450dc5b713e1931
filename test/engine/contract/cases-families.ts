// Cases of the contract for the ops that GLM and T5 need besides Llama's: layer norm, gelu, heads and their sections, biased attention.

import type { FloatDType } from "../../../src/engine/dtype.js";
import { roundTo } from "../../../src/engine/number.js";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { type OneOp, type Operand, runOne } from "./build.js";
import type { Setting } from "./cases-attention.js";
import { type Case, ints, type Make, ranges } from "./make.js";

export const familyCases: Case[] = [];

function add(op: Case["op"], title: string, make: Case["make"]): void {
  familyCases.push({ op, title: `${op} ${title}`, make });
}

const inPlaceOf = (sameAs: string | undefined) => (sameAs ? ` in the place of ${sameAs}` : "");

for (const [t, h] of [
  [1, 1],
  [7, 65],
  [129, 64],
  [3, 1000],
] as const) {
  const size = `[${t}, ${h}]`;
  add("layerNorm", size, (make) => ({
    op: "layerNorm",
    operands: {
      x: make.act([t, h]),
      weight: make.weight([h]),
      bias: make.weight([h]),
      y: make.out([t, h]),
      mean: make.out([t], "f32"),
      rstd: make.out([t], "f32"),
    },
    attrs: { eps: 1e-2 },
  }));
  const back = (make: Make) => ({
    dy: make.act([t, h]),
    x: make.act([t, h]),
    weight: make.weight([h]),
    mean: make.f32([t], 0.3),
    rstd: make.positive([t]),
  });
  for (const accumulate of [0, 1]) {
    add("layerNormInput", `${size}, ${accumulate ? "added" : "written"}`, (make) => ({
      op: "layerNormInput",
      operands: { ...back(make), dx: make.act([t, h]) },
      attrs: { accumulate },
    }));
  }
  add("layerNormInput", `${size}, in the place of dy`, (make) => ({
    op: "layerNormInput",
    operands: { ...back(make), dx: { ...make.out([t, h]), sameAs: "dy" } },
    attrs: { accumulate: 0 },
  }));
  add("layerNormWeight", size, (make) => {
    const { weight: _, ...rest } = back(make);
    return { op: "layerNormWeight", operands: { ...rest, dWeight: make.f32([h]) } };
  });
  for (const op of ["gelu", "relu"] as const) {
    for (const sameAs of [undefined, "x"]) {
      add(op, `${size}${inPlaceOf(sameAs)}`, (make) => ({
        op,
        operands: { x: make.act([t, h], 3), y: { ...make.out([t, h]), ...(sameAs && { sameAs }) } },
      }));
    }
    for (const sameAs of [undefined, "x", "dy"]) {
      add(`${op}Backward`, `${size}${inPlaceOf(sameAs)}`, (make) => ({
        op: `${op}Backward`,
        operands: {
          dy: make.act([t, h]),
          x: make.act([t, h], 3),
          dx: { ...make.out([t, h]), ...(sameAs && { sameAs }) },
        },
      }));
    }
  }
  for (const sameAs of [undefined, "gate", "up"]) {
    add("geglu", `${size}${inPlaceOf(sameAs)}`, (make) => ({
      op: "geglu",
      operands: {
        gate: make.act([t, h], 3),
        up: make.act([t, h]),
        y: { ...make.out([t, h]), ...(sameAs && { sameAs }) },
      },
    }));
  }
  for (const [gate, up] of [
    [undefined, undefined],
    ["gate", "up"],
    ["dy", "up"],
    ["gate", "dy"],
  ]) {
    add("gegluBackward", `${size}${gate ? ` in the places of ${gate} and ${up}` : ""}`, (make) => ({
      op: "gegluBackward",
      operands: {
        dy: make.act([t, h]),
        gate: make.act([t, h], 3),
        up: make.act([t, h]),
        dGate: { ...make.out([t, h]), ...(gate && { sameAs: gate }) },
        dUp: { ...make.out([t, h]), ...(up && { sameAs: up }) },
      },
    }));
  }
  for (const [two, sameAs] of [
    [true, undefined],
    [true, "a"],
    [true, "b"],
    [false, undefined],
    [false, "a"],
  ] as const) {
    add("scaledAdd", `${size}${two ? "" : " of one"}${inPlaceOf(sameAs)}`, (make) => ({
      op: "scaledAdd",
      operands: {
        a: make.act([t, h], 0.3),
        ...(two && { b: make.act([t, h]) }),
        y: { ...make.out([t, h]), ...(sameAs && { sameAs }) },
      },
      attrs: { alpha: 7.483314773547883 },
    }));
  }
}

add("gelu", "far out on both sides", (make) => ({
  op: "gelu",
  operands: { x: { ...make.act([1, 8]), data: [-1e4, -100, -30, -10, 10, 30, 100, 1e4] }, y: make.out([1, 8]) },
}));
add("geluBackward", "far out on both sides", (make) => ({
  op: "geluBackward",
  operands: {
    dy: { ...make.act([1, 8]), data: new Float64Array(8).fill(1) },
    x: { ...make.act([1, 8]), data: [-1e4, -100, -30, -10, 10, 30, 100, 1e4] },
    dx: make.out([1, 8]),
  },
}));

for (const [t, heads, headDim] of [
  [1, 1, 1],
  [7, 3, 5],
  [65, 2, 64],
] as const) {
  const width = heads * headDim;
  const size = `[${t}, ${heads} * 3 * ${headDim}]`;
  add("splitHeads", size, (make) => ({
    op: "splitHeads",
    operands: {
      x: make.act([t, 3 * width]),
      a: make.out([t, width]),
      b: make.out([t, width]),
      c: make.out([t, width]),
    },
    attrs: { heads },
  }));
  add("joinHeads", size, (make) => ({
    op: "joinHeads",
    operands: {
      a: make.act([t, width]),
      b: make.act([t, width]),
      c: make.act([t, width]),
      x: make.out([t, 3 * width]),
    },
    attrs: { heads },
  }));
}

for (const [t, heads, sections, cols] of [
  [1, 1, 1, 1],
  [7, 3, 2, 5],
  [33, 2, 3, 4],
  [5, 4, 2, 32],
] as const) {
  for (const inverse of [0, 1]) {
    const width = heads * sections * 2 * cols;
    const how = inverse ? " turned back in place" : "";
    add("ropeSections", `[${t}, ${heads} * ${sections} * 2 * ${cols}]${how}`, (make) => {
      const angles = Array.from({ length: 9 * cols }, (_, i) => (1 + Math.floor(i / cols)) / 3 ** (i % cols));
      return {
        op: "ropeSections",
        operands: {
          cos: { dtype: "f32", shape: [9, cols], data: angles.map((angle) => Math.fround(Math.cos(angle))) },
          sin: { dtype: "f32", shape: [9, cols], data: angles.map((angle) => Math.fround(Math.sin(angle))) },
          positions: { ...make.ids(t * sections, 9), shape: [t, sections] },
          x: make.act([t, width]),
          y: { ...make.out([t, width]), ...(inverse === 1 && { sameAs: "x" }) },
        },
        attrs: { heads, inverse },
      };
    });
  }
}

interface Biased extends Setting {
  readonly buckets: number;
  /** Row of the table by distance, the middle one for 0. */
  readonly table: readonly number[];
  /** Place of the first query among the keys. */
  readonly start: number;
}

const near = (half: number, buckets: number) =>
  Array.from({ length: 2 * half + 1 }, (_, i) => Math.min(Math.abs(i - half), buckets - 1));

const settings: readonly Biased[] = [
  {
    title: "one key, one bucket",
    ...{ batch: 1, seqQ: 1, seqK: 1, heads: 1, kvHeads: 1, headDim: 1, buckets: 1, table: [0], start: 0 },
    range: () => [0, 1],
  },
  {
    title: "both directions, distances beyond the table",
    ...{ batch: 2, seqQ: 9, seqK: 9, heads: 3, kvHeads: 3, headDim: 4, buckets: 4, table: near(3, 4), start: 0 },
    range: (row) => [0, [9, 5][row]],
  },
  {
    title: "causal, 130 keys",
    ...{ batch: 1, seqQ: 130, seqK: 130, heads: 2, kvHeads: 2, headDim: 16, buckets: 7, table: near(100, 7), start: 0 },
    range: (_, t) => [0, t + 1],
  },
  {
    title: "queries at 37 on a cache of 100, an even number of distances",
    ...{ batch: 2, seqQ: 3, seqK: 100, heads: 4, kvHeads: 2, headDim: 8, buckets: 3, table: [2, 0, 1, 0], start: 37 },
    range: (_, t) => [0, 38 + t],
  },
  {
    title: "nobody sees anything",
    ...{ batch: 1, seqQ: 3, seqK: 3, heads: 2, kvHeads: 1, headDim: 4, buckets: 2, table: [0, 1, 0], start: 0 },
    range: (_, t) => [t, t],
  },
];

function forward(setting: Biased, make: Make): OneOp {
  const { batch, seqQ, seqK, heads, kvHeads, headDim, buckets, table, start, range } = setting;
  return {
    op: "attentionBiased",
    operands: {
      q: make.act([batch * seqQ, heads * headDim], 1.5),
      k: make.act([batch * seqK, kvHeads * headDim], 1.5),
      v: make.act([batch * seqK, kvHeads * headDim]),
      ranges: ranges(batch, seqQ, range),
      positions: ints(
        [batch * seqQ],
        Array.from({ length: batch * seqQ }, (_, i) => start + (i % seqQ)),
      ),
      bias: make.weight([buckets, heads], 2),
      buckets: ints([table.length], table),
      o: make.out([batch * seqQ, heads * headDim]),
      lse: make.out([batch * seqQ, heads], "f32"),
    },
    attrs: { batch, heads, kvHeads, scale: 1 / Math.sqrt(headDim) },
  };
}

/** o and lse of the backward come from the exact forward. */
async function backward(setting: Biased, make: Make, withBias: boolean): Promise<OneOp> {
  const { operands, attrs = {} } = forward(setting, make);
  const { q, k, v, o, lse, ...shared } = operands as Record<string, Operand>;
  const results = await runOne(referenceDevice({ exact: true }), { op: "attentionBiased", operands, attrs });
  const filled = (operand: Operand, name: string): Operand => ({
    ...operand,
    data: results[name].map((value) => roundTo(value, (operand.dtype ?? "f32") as FloatDType)),
  });
  return {
    op: "attentionBiasedBackward",
    operands: {
      ...{ do: make.act(q.shape), q, k, v, o: filled(o, "o"), lse: filled(lse, "lse"), ...shared },
      ...{ dq: make.out(q.shape), dk: make.out(k.shape), dv: make.out(v.shape) },
      ...(withBias && { dBias: make.f32([setting.buckets, setting.heads]) }),
    },
    attrs,
  };
}

for (const setting of settings) {
  add("attentionBiased", setting.title, (make) => forward(setting, make));
  add("attentionBiasedBackward", setting.title, (make) => backward(setting, make, true));
  add("attentionBiasedBackward", `${setting.title}, the table frozen`, (make) => backward(setting, make, false));
}
