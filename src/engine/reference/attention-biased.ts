// Attention whose scores get a number by distance, and its gradient. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { dot, type Query, queries } from "./attention.js";
import { indexAt, type Values } from "./values.js";

type Operands = Pick<Call<"attentionBiased", Values>, "positions" | "bias" | "buckets" | "heads">;

/** Where the number of a query's distance to its key `s` is in the table. */
function placeOf({ positions, bias, buckets, heads }: Operands, { row, head, start }: Query, s: number): number {
  const width = buckets.data.length;
  const distance = start + s - positions.data[row];
  const at = Math.min(Math.max(distance + Math.floor((width - 1) / 2), 0), width - 1);
  return indexAt("buckets", buckets, at, bias.shape[0] as number) * heads + (head % heads);
}

export function attentionBiased(call: Call<"attentionBiased", Values>): void {
  const { q, k, v, bias, o, lse, scale } = call;
  o.data.fill(0);
  lse.data.fill(0);
  for (const query of queries(call)) {
    const { at, head, headDim, keys } = query;
    if (keys.length === 0) continue;
    const scores = keys.map(
      (key, s) => scale * dot(q.data, at, k.data, key, headDim) + bias.data[placeOf(call, query, s)],
    );
    const most = scores.reduce((a, b) => Math.max(a, b));
    lse.data[head] = most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
    for (const [s, key] of keys.entries()) {
      const p = Math.exp(scores[s] - lse.data[head]);
      for (let i = 0; i < headDim; i++) o.data[at + i] += p * v.data[key + i];
    }
  }
}

/** ds = p (do·v - do·o), dq = scale ds k, dk = scale ds q, dv = p do, dBias = sum of ds by bucket. */
export function attentionBiasedBackward(call: Call<"attentionBiasedBackward", Values>): void {
  const { do: dOut, q, k, v, o, lse, bias, dq, dk, dv, dBias, scale } = call;
  for (const gradient of [dq, dk, dv]) gradient.data.fill(0);
  for (const query of queries(call)) {
    const { at, head, headDim, keys } = query;
    const mean = dot(dOut.data, at, o.data, at, headDim);
    for (const [s, key] of keys.entries()) {
      const place = placeOf(call, query, s);
      const p = Math.exp(scale * dot(q.data, at, k.data, key, headDim) + bias.data[place] - lse.data[head]);
      const ds = p * (dot(dOut.data, at, v.data, key, headDim) - mean);
      if (dBias) dBias.data[place] += ds;
      for (let i = 0; i < headDim; i++) {
        dq.data[at + i] += scale * ds * k.data[key + i];
        dk.data[key + i] += scale * ds * q.data[at + i];
        dv.data[key + i] += p * dOut.data[at + i];
      }
    }
  }
}
