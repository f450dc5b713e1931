// Softmax attention over a range of keys per query, and its gradient. Formulas: ops.ts.

import { EngineError } from "../device.js";
import type { Call } from "../operands.js";
import { sizes, type Values } from "./values.js";

/** One query of one head: where its numbers are, and the keys it sees. */
export interface Query {
  /** Row of q and o, and position of the head's first number in it. */
  readonly row: number;
  readonly at: number;
  /** Position in lse: row * heads + head. */
  readonly head: number;
  readonly headDim: number;
  /** The first key it sees, counted from the first of its row of the batch. */
  readonly start: number;
  /** Positions in k and v of the keys it sees. */
  readonly keys: readonly number[];
}

type Operands = Pick<Call<"attention", Values>, "q" | "k" | "ranges" | "batch" | "heads" | "kvHeads">;

export function* queries({ q, k, ranges, batch, heads, kvHeads }: Operands): Generator<Query> {
  const [rows, width] = sizes(q);
  const [keyRows, keyWidth] = sizes(k);
  const headDim = width / heads;
  const [seqQ, seqK] = [rows / batch, keyRows / batch];
  for (let row = 0; row < rows; row++) {
    const [start, end] = [ranges.data[2 * row], ranges.data[2 * row + 1]];
    if (end > start && (start < 0 || end > seqK)) {
      throw new EngineError(`ranges[${row}] is [${start}, ${end}), expected to lie in [0, ${seqK})`);
    }
    const first = Math.floor(row / seqQ) * seqK;
    for (let head = 0; head < heads; head++) {
      const column = Math.floor(head / (heads / kvHeads)) * headDim;
      const keys = Array.from({ length: Math.max(0, end - start) }, (_, s) => (first + start + s) * keyWidth + column);
      yield { row, at: row * width + head * headDim, head: row * heads + head, headDim, start, keys };
    }
  }
}

export function dot(a: Float64Array, aAt: number, b: Float64Array, bAt: number, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[aAt + i] * b[bAt + i];
  return sum;
}

export function attention(call: Call<"attention", Values>): void {
  const { q, k, v, o, lse, scale } = call;
  o.data.fill(0);
  lse.data.fill(0);
  for (const { at, head, headDim, keys } of queries(call)) {
    if (keys.length === 0) continue;
    const scores = keys.map((key) => scale * dot(q.data, at, k.data, key, headDim));
    const most = scores.reduce((a, b) => Math.max(a, b));
    const total = scores.reduce((sum, score) => sum + Math.exp(score - most), 0);
    lse.data[head] = most + Math.log(total);
    for (const [s, key] of keys.entries()) {
      const p = Math.exp(scores[s] - lse.data[head]);
      for (let i = 0; i < headDim; i++) o.data[at + i] += p * v.data[key + i];
    }
  }
}

/** ds = p (do·v - do·o), dq = scale ds k, dk = scale ds q, dv = p do. */
export function attentionBackward(call: Call<"attentionBackward", Values>): void {
  const { do: dOut, q, k, v, o, lse, dq, dk, dv, scale } = call;
  for (const gradient of [dq, dk, dv]) gradient.data.fill(0);
  for (const { at, head, headDim, keys } of queries(call)) {
    const mean = dot(dOut.data, at, o.data, at, headDim);
    for (const key of keys) {
      const p = Math.exp(scale * dot(q.data, at, k.data, key, headDim) - lse.data[head]);
      const ds = scale * p * (dot(dOut.data, at, v.data, key, headDim) - mean);
      for (let i = 0; i < headDim; i++) {
        dq.data[at + i] += ds * k.data[key + i];
        dk.data[key + i] += ds * q.data[at + i];
        dv.data[key + i] += p * dOut.data[at + i];
      }
    }
  }
}
