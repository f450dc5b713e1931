// Heads taken apart and put together, and rotary positions of several sections. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { type Context, checkIds, type Operand, type Results } from "./operand.js";

export function splitHeads({ x, heads }: Call<"splitHeads", Operand>, { tf }: Context): Results {
  const [rows, width] = x.shape;
  const [a, b, c] = tf
    .unstack(x.tensor.reshape([rows, heads, 3, -1]), 2)
    .map((part) => part.reshape([rows, width / 3]));
  return { a, b, c };
}

export function joinHeads({ a, b, c, heads }: Call<"joinHeads", Operand>, { tf }: Context): Results {
  const [rows, width] = a.shape;
  const parts = [a, b, c].map(({ tensor }) => tensor.reshape([rows, heads, width / heads]));
  return { x: tf.stack(parts, 2).reshape([rows, 3 * width]) };
}

export function ropeSections(call: Call<"ropeSections", Operand>, { tf }: Context): Results {
  const { positions, x, heads, inverse } = call;
  const [places, cols] = call.cos.shape;
  const [rows, sections] = positions.shape;
  checkIds("positions", positions.ids, places);
  const at = tf.tensor1d(positions.ids, "int32");
  const cos = tf.gather(call.cos.tensor, at).reshape([rows, 1, sections, cols]);
  const turned = tf.gather(call.sin.tensor, at).reshape([rows, 1, sections, cols]);
  const sin = inverse ? tf.neg(turned) : turned;
  const [first, second] = tf.unstack(x.tensor.reshape([rows, heads, sections, 2, cols]), 3);
  const a = tf.sub(tf.mul(first, cos), tf.mul(second, sin));
  const b = tf.add(tf.mul(second, cos), tf.mul(first, sin));
  return { y: tf.stack([a, b], 3).reshape([...x.shape]) };
}
