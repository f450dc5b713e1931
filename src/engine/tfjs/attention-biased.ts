// Attention whose scores get a number by distance, and its gradient. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { attend, attendBackward, type Sizes, sizesOf } from "./attention.js";
import type { Tensor } from "./load.js";
import { type Context, checkIds, type Operand, type Results } from "./operand.js";

type Operands = Pick<Call<"attentionBiased", Operand>, "positions" | "bias" | "buckets" | "heads">;

/** The row of the table for each query and key of the window, [batch * seqQ * keys]. @throws EngineError at a bucket outside the table. */
function bucketsOf({ positions, bias, buckets }: Operands, { batch, seqQ, window: [first, count] }: Sizes): Int32Array {
  checkIds("buckets", buckets.ids, bias.shape[0]);
  const [table, places] = [buckets.ids, positions.ids];
  const half = Math.floor((table.length - 1) / 2);
  return Int32Array.from({ length: batch * seqQ * count }, (_, i) => {
    const distance = first + (i % count) - places[Math.floor(i / count)];
    return table[Math.min(Math.max(distance + half, 0), table.length - 1)];
  });
}

/** [batch, kvHeads, group * seqQ, keys of the window]. */
function scoresOf(call: Operands, rows: Int32Array, sizes: Sizes, { tf }: Context): Tensor {
  const { batch, heads, kvHeads, group, seqQ, window } = sizes;
  const found = tf.gather(call.bias.tensor, tf.tensor1d(rows, "int32")).reshape([batch, seqQ, window[1], heads]);
  return found.transpose([0, 3, 1, 2]).reshape([batch, kvHeads, group * seqQ, window[1]]);
}

export function attentionBiased(call: Call<"attentionBiased", Operand>, context: Context): Results {
  const sizes = sizesOf(call);
  return attend(call, context, sizes, scoresOf(call, bucketsOf(call, sizes), sizes, context));
}

/** As attentionBackward, and dBias = sum of ds by bucket. */
export function attentionBiasedBackward(call: Call<"attentionBiasedBackward", Operand>, context: Context): Results {
  const { tf } = context;
  const sizes = sizesOf(call);
  const { batch, heads, seqQ, window } = sizes;
  const rows = bucketsOf(call, sizes);
  const { ds, ...results } = attendBackward(call, context, sizes, scoresOf(call, rows, sizes, context));
  if (!call.dBias) return results;
  const byPair = ds.reshape([batch, heads, seqQ, window[1]]).transpose([0, 2, 3, 1]).reshape([rows.length, heads]);
  const sums = tf.unsortedSegmentSum(byPair, tf.tensor1d(rows, "int32"), call.bias.shape[0]);
  return { ...results, dBias: tf.add(call.dBias.tensor, sums) };
}
