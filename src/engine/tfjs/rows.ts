// Whole rows moved by index: embedding, gatherRows, writeRows. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { type Context, checkIds, floatsOf, type Operand, type Results } from "./operand.js";

export function embedding({ weight, ids }: Call<"embedding", Operand>, context: Context): Results {
  return { y: gather("ids", weight, ids, context) };
}

export function gatherRows({ x, rows }: Call<"gatherRows", Operand>, context: Context): Results {
  return { y: gather("rows", x, rows, context) };
}

function gather(name: string, table: Operand, { ids }: Operand, { tf }: Context): Results[string] {
  checkIds(name, ids, table.shape[0]);
  return tf.gather(table.tensor, tf.tensor1d(ids, "int32"));
}

export function embeddingWeight({ dy, ids, dWeight }: Call<"embeddingWeight", Operand>, { tf }: Context): Results {
  const [rows, width] = dWeight.shape;
  checkIds("ids", ids.ids, rows);
  const sums = tf.scatterND(tf.tensor2d(ids.ids, [ids.ids.length, 1], "int32"), dy.tensor, [rows, width]);
  return { dWeight: tf.add(dWeight.tensor, sums) };
}

/** A move of memory, not arithmetic: the cache may be large, and one step of decoding writes one row of it. */
export function writeRows({ x, rows, cache }: Call<"writeRows", Operand>): Results {
  const [count, width] = cache.shape;
  checkIds("rows", rows.ids, count, (row) => row < 0);
  const [from, to] = [floatsOf(x), floatsOf(cache)];
  for (const [t, row] of rows.ids.entries()) {
    if (row >= 0) to.set(from.subarray(t * width, (t + 1) * width), row * width);
  }
  return {};
}
