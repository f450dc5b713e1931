// Ops on numbers one by one: swiglu, add, scaledAdd, cast, zero, dropout. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { keepsElement } from "../random.js";
import type { Context, Operand, Results } from "./operand.js";

export function swiglu({ gate, up }: Call<"swiglu", Operand>, { tf }: Context): Results {
  return { y: tf.mul(tf.mul(gate.tensor, tf.sigmoid(gate.tensor)), up.tensor) };
}

/** d/dg (g σ(g)) = σ(g) (1 + g (1 - σ(g))). */
export function swigluBackward({ dy, gate, up }: Call<"swigluBackward", Operand>, { tf }: Context): Results {
  const s = tf.sigmoid(gate.tensor);
  const slope = tf.mul(s, tf.add(1, tf.mul(gate.tensor, tf.sub(1, s))));
  return {
    dGate: tf.mul(tf.mul(dy.tensor, up.tensor), slope),
    dUp: tf.mul(dy.tensor, tf.mul(gate.tensor, s)),
  };
}

export function add({ a, b }: Call<"add", Operand>, { tf }: Context): Results {
  return { y: tf.add(a.tensor, b.tensor) };
}

export function scaledAdd({ a, b, alpha }: Call<"scaledAdd", Operand>, { tf }: Context): Results {
  const scaled = tf.mul(alpha, a.tensor);
  return { y: b ? tf.add(scaled, b.tensor) : scaled };
}

export function cast({ x }: Call<"cast", Operand>): Results {
  return { y: x.tensor };
}

export function zero({ x }: Call<"zero", Operand>): Results {
  x.bytes.fill(0);
  return {};
}

export function dropout({ x, p, stream }: Call<"dropout", Operand>, { tf, uniforms }: Context): Results {
  const { seed, step, micro } = uniforms;
  const kept = new Float32Array(x.shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < kept.length; i++) kept[i] = keepsElement(p, seed, step, micro, stream, i) ? 1 / (1 - p) : 0;
  return { y: tf.mul(x.tensor, tf.tensor(kept, [...x.shape])) };
}
