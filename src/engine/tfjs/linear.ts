// The matrix products: linear and its gradients. Formulas: ops.ts.

import type { Call } from "../operands.js";
import type { Context, Operand, Results } from "./operand.js";

export function linear({ x, w, bias, h, b, scale }: Call<"linear", Operand>, { tf }: Context): Results {
  let y = tf.matMul(x.tensor, w.tensor, false, true);
  if (bias) y = tf.add(y, bias.tensor);
  if (h && b) y = tf.add(y, tf.mul(scale, tf.matMul(h.tensor, b.tensor, false, true)));
  return { y };
}

export function linearInput(call: Call<"linearInput", Operand>, { tf }: Context): Results {
  const { dy, w, g, a, alpha, accumulate } = call;
  let dx = tf.mul(alpha, tf.matMul(dy.tensor, w.tensor));
  if (g && a) dx = tf.add(dx, tf.matMul(g.tensor, a.tensor));
  return { dx: accumulate ? tf.add(call.dx.tensor, dx) : dx };
}

export function linearWeight({ dy, x, dW, alpha }: Call<"linearWeight", Operand>, { tf }: Context): Results {
  return { dW: tf.add(dW.tensor, tf.mul(alpha, tf.matMul(dy.tensor, x.tensor, true, false))) };
}

export function linearBias({ dy, db }: Call<"linearBias", Operand>, { tf }: Context): Results {
  return { db: tf.add(db.tensor, tf.sum(dy.tensor, 0)) };
}
