// RMS norm and its gradients. Formulas: ops.ts.

import type { Call } from "../operands.js";
import type { Context, Operand, Results } from "./operand.js";

export function rmsNorm({ x, weight, eps }: Call<"rmsNorm", Operand>, { tf }: Context): Results {
  const rstd = tf.rsqrt(tf.add(tf.mean(tf.square(x.tensor), 1, true), eps));
  return { y: tf.mul(tf.mul(x.tensor, rstd), weight.tensor), rstd: rstd.reshape([x.shape[0]]) };
}

export function rmsNormInput(call: Call<"rmsNormInput", Operand>, { tf }: Context): Results {
  const { dy, x, weight, rstd, dx, accumulate } = call;
  const r = rstd.tensor.reshape([x.shape[0], 1]);
  const weighted = tf.mul(dy.tensor, weight.tensor);
  const mean = tf.mean(tf.mul(weighted, x.tensor), 1, true);
  const gradient = tf.mul(r, tf.sub(weighted, tf.mul(x.tensor, tf.mul(tf.square(r), mean))));
  return { dx: accumulate ? tf.add(dx.tensor, gradient) : gradient };
}

export function rmsNormWeight({ dy, x, rstd, dWeight }: Call<"rmsNormWeight", Operand>, { tf }: Context): Results {
  const parts = tf.mul(tf.mul(dy.tensor, x.tensor), rstd.tensor.reshape([x.shape[0], 1]));
  return { dWeight: tf.add(dWeight.tensor, tf.sum(parts, 0)) };
}
