// Rotary position embedding, which is its own gradient turned the other way. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { type Context, checkIds, type Operand, type Results } from "./operand.js";

export function rope(call: Call<"rope", Operand>, { tf }: Context): Results {
  const { x, positions, heads, interleaved, inverse } = call;
  const [rows, width] = x.shape;
  const [table, cols] = call.cos.shape;
  const headDim = width / heads;
  checkIds("positions", positions.ids, table);
  const at = tf.tensor1d(positions.ids, "int32");
  const cos = tf.gather(call.cos.tensor, at).reshape([rows, 1, cols]);
  const turned = tf.gather(call.sin.tensor, at).reshape([rows, 1, cols]);
  const sin = inverse ? tf.neg(turned) : turned;

  const split = x.tensor.reshape([rows, heads, headDim]);
  const pairs = split.slice([0, 0, 0], [rows, heads, 2 * cols]);
  const rest = split.slice([0, 0, 2 * cols], [rows, heads, headDim - 2 * cols]);
  // [rows, heads, cols] of first and of second numbers of the pairs
  const [first, second] = interleaved
    ? tf.unstack(pairs.reshape([rows, heads, cols, 2]), 3)
    : tf.split(pairs, [cols, cols], 2);
  const a = tf.sub(tf.mul(first, cos), tf.mul(second, sin));
  const b = tf.add(tf.mul(second, cos), tf.mul(first, sin));
  const joined = interleaved ? tf.stack([a, b], 3).reshape([rows, heads, 2 * cols]) : tf.concat([a, b], 2);
  return { y: tf.concat([joined, rest], 2).reshape([rows, width]) };
}
