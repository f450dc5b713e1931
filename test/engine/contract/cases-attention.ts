// Cases of the contract for attention: grouped queries, and every kind of mask that a range of keys can say.

import type { FloatDType } from "../../../src/engine/dtype.js";
import { roundTo } from "../../../src/engine/number.js";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { type OneOp, type Operand, runOne } from "./build.js";
import { type Case, type Make, ranges } from "./make.js";

export type Range = (row: number, t: number) => readonly [number, number];

/** Sizes of queries and keys, and the keys that each query sees. */
export interface Setting {
  readonly title: string;
  readonly batch: number;
  readonly seqQ: number;
  readonly seqK: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly range: Range;
}

const causal: Range = (_, t) => [0, t + 1];

const settings: readonly Setting[] = [
  { title: "one token", batch: 1, seqQ: 1, seqK: 1, heads: 1, kvHeads: 1, headDim: 1, range: causal },
  { title: "causal, 8 heads on 4", batch: 2, seqQ: 7, seqK: 7, heads: 8, kvHeads: 4, headDim: 8, range: causal },
  { title: "causal, 65 keys", batch: 1, seqQ: 65, seqK: 65, heads: 3, kvHeads: 1, headDim: 16, range: causal },
  { title: "causal, 129 keys", batch: 1, seqQ: 129, seqK: 129, heads: 2, kvHeads: 2, headDim: 64, range: causal },
  {
    title: "padding on the right: rows of 5 and 3 of 7, the rest empty",
    batch: 2,
    seqQ: 7,
    seqK: 7,
    heads: 4,
    kvHeads: 2,
    headDim: 6,
    range: (row, t) => (t < [5, 3][row] ? [0, t + 1] : [0, 0]),
  },
  {
    title: "three packed segments",
    batch: 1,
    seqQ: 70,
    seqK: 70,
    heads: 2,
    kvHeads: 1,
    headDim: 5,
    range: (_, t) => [t < 11 ? 0 : t < 66 ? 11 : 66, t + 1],
  },
  {
    title: "prefix of 4 seen by all",
    batch: 2,
    seqQ: 9,
    seqK: 9,
    heads: 2,
    kvHeads: 2,
    headDim: 7,
    range: (_, t) => [0, Math.max(t + 1, 4)],
  },
  {
    title: "both directions over 6 of 8",
    batch: 2,
    seqQ: 8,
    seqK: 8,
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    range: () => [0, 6],
  },
  {
    title: "one query on a cache of 100, 37 written",
    batch: 2,
    seqQ: 1,
    seqK: 100,
    heads: 6,
    kvHeads: 2,
    headDim: 8,
    range: () => [0, 37],
  },
  {
    title: "two queries on a cache of 203, heads of 80",
    batch: 2,
    seqQ: 2,
    seqK: 203,
    heads: 3,
    kvHeads: 3,
    headDim: 80,
    range: (row, t) => [row, 198 + 2 * t + row],
  },
  {
    title: "only keys in the middle of 40 are seen",
    batch: 2,
    seqQ: 5,
    seqK: 40,
    heads: 4,
    kvHeads: 2,
    headDim: 3,
    range: (row, t) => [13 + row, 17 + t],
  },
  {
    title: "packed segments of odd lengths, several blocks of queries and keys, 4 heads on 2",
    batch: 2,
    seqQ: 101,
    seqK: 203,
    heads: 4,
    kvHeads: 2,
    headDim: 40,
    range: (row, t) => (t % 17 === 5 ? [0, 0] : t < 41 ? [row, 2 * t + 2] : [81, t + 103 - row]),
  },
  {
    title: "nobody sees anything",
    batch: 1,
    seqQ: 3,
    seqK: 3,
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    range: (_, t) => [t, t],
  },
];

function forward({ batch, seqQ, seqK, heads, kvHeads, headDim, range }: Setting, make: Make): OneOp {
  return {
    op: "attention",
    operands: {
      q: make.act([batch * seqQ, heads * headDim], 1.5),
      k: make.act([batch * seqK, kvHeads * headDim], 1.5),
      v: make.act([batch * seqK, kvHeads * headDim]),
      ranges: ranges(batch, seqQ, range),
      o: make.out([batch * seqQ, heads * headDim]),
      lse: make.out([batch * seqQ, heads], "f32"),
    },
    attrs: { batch, heads, kvHeads, scale: 1 / Math.sqrt(headDim) },
  };
}

/** o and lse of the backward come from the exact forward. */
async function backward(setting: Setting, make: Make): Promise<OneOp> {
  const { operands, attrs = {} } = forward(setting, make);
  const { q, k, v, o, lse } = operands as Record<string, Operand>;
  const results = await runOne(referenceDevice({ exact: true }), { op: "attention", operands, attrs });
  const filled = (operand: Operand, name: string): Operand => ({
    ...operand,
    data: results[name].map((value) => roundTo(value, (operand.dtype ?? "f32") as FloatDType)),
  });
  return {
    op: "attentionBackward",
    operands: {
      do: make.act(q.shape),
      q,
      k,
      v,
      o: filled(o, "o"),
      lse: filled(lse, "lse"),
      ranges: operands["ranges"],
      dq: make.out(q.shape),
      dk: make.out(k.shape),
      dv: make.out(v.shape),
    },
    attrs,
  };
}

/** Forward and backward of one setting. */
export function attentionCasesOf(setting: Setting): readonly Case[] {
  return [
    { op: "attention", title: `attention, ${setting.title}`, make: (make) => forward(setting, make) },
    { op: "attentionBackward", title: `attentionBackward, ${setting.title}`, make: (make) => backward(setting, make) },
  ];
}

export const attentionCases: readonly Case[] = settings.flatMap(attentionCasesOf);
