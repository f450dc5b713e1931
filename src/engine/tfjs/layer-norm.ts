// Layer norm and its gradients. Formulas: ops.ts.

import type { Call } from "../operands.js";
import type { Tensor } from "./load.js";
import type { Context, Operand, Results } from "./operand.js";

export function layerNorm({ x, weight, bias, eps }: Call<"layerNorm", Operand>, { tf }: Context): Results {
  const rows = x.shape[0];
  const mean = tf.mean(x.tensor, 1, true);
  const moved = tf.sub(x.tensor, mean);
  const rstd = tf.rsqrt(tf.add(tf.mean(tf.square(moved), 1, true), eps));
  const y = tf.add(tf.mul(tf.mul(moved, rstd), weight.tensor), bias.tensor);
  return { y, mean: mean.reshape([rows]), rstd: rstd.reshape([rows]) };
}

/** (x - mean) * rstd. */
function normal({ x, mean, rstd }: Pick<Call<"layerNormWeight", Operand>, "x" | "mean" | "rstd">, tf: Context["tf"]) {
  const column = (operand: Operand): Tensor => operand.tensor.reshape([x.shape[0], 1]);
  return tf.mul(tf.sub(x.tensor, column(mean)), column(rstd));
}

export function layerNormInput(call: Call<"layerNormInput", Operand>, { tf }: Context): Results {
  const { dy, x, weight, rstd, dx, accumulate } = call;
  const n = normal(call, tf);
  const g = tf.mul(dy.tensor, weight.tensor);
  const straight = tf.sub(g, tf.mean(g, 1, true));
  const turned = tf.mul(n, tf.mean(tf.mul(g, n), 1, true));
  const gradient = tf.mul(rstd.tensor.reshape([x.shape[0], 1]), tf.sub(straight, turned));
  return { dx: accumulate ? tf.add(dx.tensor, gradient) : gradient };
}

export function layerNormWeight(call: Call<"layerNormWeight", Operand>, { tf }: Context): Results {
  return { dWeight: tf.add(call.dWeight.tensor, tf.sum(tf.mul(call.dy.tensor, normal(call, tf)), 0)) };
}
