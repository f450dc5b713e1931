// Gradient norm and AdamW. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { type Context, floatsOf, type Operand, type Results } from "./operand.js";

/** Numbers whose squares TensorFlow.js sums at once; the sums of blocks are added here, in f64. */
const BLOCK = 4096;

export function sumSquares({ x, total }: Call<"sumSquares", Operand>, { tf }: Context): Results {
  const flat = tf.square(x.tensor).reshape([-1]);
  const whole = Math.floor(flat.size / BLOCK) * BLOCK;
  const blocks = tf.sum(flat.slice(0, whole).reshape([-1, BLOCK]), 1).dataSync();
  const rest = tf.sum(flat.slice(whole)).dataSync();
  floatsOf(total)[0] += [...blocks, ...rest].reduce((sum, part) => sum + part, 0);
  return {};
}

export function adamw(call: Call<"adamw", Operand>, { tf, uniforms }: Context): Results {
  const { grad, total, param, beta1, beta2, eps, decay, rateFactor } = call;
  const { learningRate, step, gradScale, clipNorm } = uniforms;
  const [squares] = floatsOf(total);
  if (!Number.isFinite(squares)) return {};
  const norm = Math.sqrt(squares) * gradScale;
  const clip = clipNorm > 0 ? Math.min(1, clipNorm / (norm + 1e-6)) : 1;
  const rate = learningRate * rateFactor;
  const g = tf.mul(grad.tensor, gradScale * clip);
  const m = tf.add(tf.mul(call.m.tensor, beta1), tf.mul(g, 1 - beta1));
  const v = tf.add(tf.mul(call.v.tensor, beta2), tf.mul(tf.square(g), 1 - beta2));
  const spread = tf.add(tf.sqrt(tf.div(v, 1 - beta2 ** step)), eps);
  const move = tf.div(tf.mul(m, rate / (1 - beta1 ** step)), spread);
  return { param: tf.sub(tf.mul(param.tensor, 1 - rate * decay), move), m, v };
}
