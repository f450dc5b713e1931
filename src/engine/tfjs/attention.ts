// Softmax attention over a range of keys per query, and its gradient. Formulas: ops.ts.
// Queries of the heads that share a key head are stacked, so that one batched product serves the group: [batch, kvHeads, group * seqQ, headDim].

import { EngineError } from "../device.js";
import type { Call } from "../operands.js";
import type { Tensor, Tensor4D } from "./load.js";
import type { Context, Operand, Results } from "./operand.js";

export interface Sizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly seqQ: number;
  readonly seqK: number;
  readonly headDim: number;
  /** The keys that any query sees: [first, count]. A cache may be much longer. */
  readonly window: readonly [number, number];
}

type Operands = Pick<Call<"attention", Operand>, "q" | "k" | "ranges" | "batch" | "heads" | "kvHeads">;

/** @throws EngineError when a range leads out of the keys. */
export function sizesOf({ q, k, ranges, batch, heads, kvHeads }: Operands): Sizes {
  const [rows, width] = q.shape;
  const seqK = k.shape[0] / batch;
  const { ids } = ranges;
  let [first, last] = [seqK, 0];
  for (let row = 0; row < rows; row++) {
    const [start, end] = [ids[2 * row], ids[2 * row + 1]];
    if (end <= start) continue;
    if (start < 0 || end > seqK) {
      throw new EngineError(`ranges[${row}] is [${start}, ${end}), expected to lie in [0, ${seqK})`);
    }
    [first, last] = [Math.min(first, start), Math.max(last, end)];
  }
  return {
    batch,
    heads,
    kvHeads,
    group: heads / kvHeads,
    seqQ: rows / batch,
    seqK,
    headDim: width / heads,
    // One key that nobody sees where nobody sees any: a tensor of no keys is of no use.
    window: first < last ? [first, last - first] : [0, 1],
  };
}

/** [batch * seqQ, heads * last] to [batch, kvHeads, group * seqQ, last]. */
function stackQueries(x: Tensor, { batch, kvHeads, group, seqQ }: Sizes): Tensor {
  const split = x.reshape([batch, seqQ, kvHeads, group, -1]).transpose([0, 2, 3, 1, 4]);
  return split.reshape([batch, kvHeads, group * seqQ, -1]);
}

/** The way back, to [batch * seqQ, heads * last]. */
function unstackQueries(x: Tensor, { batch, kvHeads, group, seqQ }: Sizes): Tensor {
  const split = x.reshape([batch, kvHeads, group, seqQ, -1]).transpose([0, 3, 1, 2, 4]);
  return split.reshape([batch * seqQ, -1]);
}

/** [batch * seqK, kvHeads * headDim] to [batch, kvHeads, keys of the window, headDim]. */
function stackKeys(x: Tensor, { batch, kvHeads, seqK, headDim, window: [first, count] }: Sizes): Tensor {
  const seen = x.reshape([batch, seqK, kvHeads, headDim]).slice([0, first], [batch, count]);
  return seen.transpose([0, 2, 1, 3]);
}

/** The way back; keys outside the window get 0. */
function unstackKeys(x: Tensor, { batch, kvHeads, seqK, headDim, window: [first, count] }: Sizes): Tensor {
  const seen = x.transpose([0, 2, 1, 3]) as Tensor4D;
  const all = seen.pad([
    [0, 0],
    [first, seqK - first - count],
    [0, 0],
    [0, 0],
  ]);
  return all.reshape([batch * seqK, kvHeads * headDim]);
}

/** 1 where a query sees a key, else 0: [batch, 1, group * seqQ, keys of the window]. */
function maskOf({ ids }: Operand, { batch, group, seqQ, window: [first, count] }: Sizes, { tf }: Context): Tensor {
  const [start, end] = tf.split(tf.tensor(ids, [batch, 1, seqQ, 2], "int32"), 2, 3);
  const key = tf.range(first, first + count, 1, "int32");
  const seen = tf.logicalAnd(tf.greaterEqual(key, start), tf.less(key, end));
  return tf.tile(tf.cast(seen, "float32"), [1, 1, group, 1]);
}

export function attention(call: Call<"attention", Operand>, context: Context): Results {
  return attend(call, context, sizesOf(call));
}

/** @param bias - Added to the scores, [batch, kvHeads, group * seqQ, keys of the window]. */
export function attend(
  call: Omit<Call<"attention", Operand>, "kvHeads">,
  context: Context,
  sizes: Sizes,
  bias?: Tensor,
): Results {
  const { tf } = context;
  const mask = maskOf(call.ranges, sizes, context);
  const q = stackQueries(call.q.tensor, sizes);
  const k = stackKeys(call.k.tensor, sizes);
  const v = stackKeys(call.v.tensor, sizes);
  const products = tf.mul(call.scale, tf.matMul(q, k, false, true));
  const scores = bias ? tf.add(products, bias) : products;
  // Unseen scores fall below every seen one, but stay finite: a query without keys must not give NaN.
  const lowered = tf.sub(scores, tf.mul(tf.sub(1, mask), 1e30));
  const most = tf.max(lowered, 3, true);
  const weights = tf.mul(tf.exp(tf.sub(lowered, most)), mask);
  const total = tf.sum(weights, 3, true);
  const blind = tf.cast(tf.equal(total, 0), "float32");
  const whole = tf.add(total, blind);
  const lse = tf.where(tf.equal(total, 0), tf.zerosLike(total), tf.add(most, tf.log(whole)));
  const o = tf.matMul(tf.div(weights, whole), v);
  return { o: unstackQueries(o, sizes), lse: unstackQueries(lse, sizes) };
}

/** ds = p (do·v - do·o), dq = scale ds k, dk = scale ds q, dv = p do. */
export function attentionBackward(call: Call<"attentionBackward", Operand>, context: Context): Results {
  const { dq, dk, dv } = attendBackward(call, context, sizesOf(call));
  return { dq, dk, dv };
}

/** As `attentionBackward`, with the ds of the scores besides. */
export function attendBackward(
  call: Omit<Call<"attentionBackward", Operand>, "kvHeads">,
  context: Context,
  sizes: Sizes,
  bias?: Tensor,
): { readonly dq: Tensor; readonly dk: Tensor; readonly dv: Tensor; readonly ds: Tensor } {
  const { tf } = context;
  const mask = maskOf(call.ranges, sizes, context);
  const [dOut, q, o, lse] = [call.do, call.q, call.o, call.lse].map(({ tensor }) => stackQueries(tensor, sizes));
  const [k, v] = [call.k, call.v].map(({ tensor }) => stackKeys(tensor, sizes));
  const products = tf.mul(call.scale, tf.matMul(q, k, false, true));
  const scores = bias ? tf.add(products, bias) : products;
  // Unseen scores may be far above lse: they are cut before exp, so that the mask never meets an infinity.
  const p = tf.mul(tf.exp(tf.mul(tf.sub(scores, lse), mask)), mask);
  const mean = tf.sum(tf.mul(dOut, o), 3, true);
  const ds = tf.mul(p, tf.sub(tf.matMul(dOut, v, false, true), mean));
  return {
    dq: unstackQueries(tf.mul(call.scale, tf.matMul(ds, k)), sizes),
    dk: unstackKeys(tf.mul(call.scale, tf.matMul(ds, q, true, false)), sizes),
    dv: unstackKeys(tf.matMul(p, dOut, true, false), sizes),
    ds,
  };
}
