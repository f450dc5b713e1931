// The functions between the matrices of a feed-forward block: gelu, alone and as a gate, and relu. Formulas: ops.ts.

import type { Call } from "../operands.js";
import type { Tensor, Tf } from "./load.js";
import type { Context, Operand, Results } from "./operand.js";

const ROOT = Math.sqrt(2 / Math.PI);
const CUBE = 0.044715;

const tanhOf = (tf: Tf, x: Tensor): Tensor => tf.tanh(tf.mul(ROOT, tf.add(x, tf.mul(CUBE, tf.pow(x, 3)))));
const geluOf = (tf: Tf, x: Tensor): Tensor => tf.mul(tf.mul(0.5, x), tf.add(1, tanhOf(tf, x)));

/** With t = tanh(u): (1 + t) / 2 + x / 2 (1 - t²) u'. */
function slopeOf(tf: Tf, x: Tensor): Tensor {
  const t = tanhOf(tf, x);
  const inner = tf.mul(ROOT, tf.add(1, tf.mul(3 * CUBE, tf.square(x))));
  return tf.add(tf.mul(0.5, tf.add(1, t)), tf.mul(tf.mul(tf.mul(0.5, x), tf.sub(1, tf.square(t))), inner));
}

export function gelu({ x }: Call<"gelu", Operand>, { tf }: Context): Results {
  return { y: geluOf(tf, x.tensor) };
}

export function geluBackward({ dy, x }: Call<"geluBackward", Operand>, { tf }: Context): Results {
  return { dx: tf.mul(dy.tensor, slopeOf(tf, x.tensor)) };
}

export function geglu({ gate, up }: Call<"geglu", Operand>, { tf }: Context): Results {
  return { y: tf.mul(geluOf(tf, gate.tensor), up.tensor) };
}

export function gegluBackward({ dy, gate, up }: Call<"gegluBackward", Operand>, { tf }: Context): Results {
  return {
    dGate: tf.mul(tf.mul(dy.tensor, up.tensor), slopeOf(tf, gate.tensor)),
    dUp: tf.mul(dy.tensor, geluOf(tf, gate.tensor)),
  };
}

export function relu({ x }: Call<"relu", Operand>, { tf }: Context): Results {
  return { y: tf.relu(x.tensor) };
}

export function reluBackward({ dy, x }: Call<"reluBackward", Operand>, { tf }: Context): Results {
  return { dx: tf.mul(dy.tensor, tf.cast(tf.greater(x.tensor, 0), "float32")) };
}
