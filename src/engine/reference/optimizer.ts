// Gradient norm and AdamW. Formulas: ops.ts.

import type { Call } from "../operands.js";
import type { Context, Values } from "./values.js";

export function sumSquares({ x, total }: Call<"sumSquares", Values>): void {
  let sum = 0;
  for (const value of x.data) sum += value * value;
  total.data[0] += sum;
}

export function adamw(call: Call<"adamw", Values>, { uniforms }: Context): void {
  const { grad, total, param, m, v, beta1, beta2, eps, decay, rateFactor } = call;
  const { learningRate, step, gradScale, clipNorm } = uniforms;
  const squares = total.data[0];
  if (!Number.isFinite(squares)) return;
  const norm = Math.sqrt(squares) * gradScale;
  const clip = clipNorm > 0 ? Math.min(1, clipNorm / (norm + 1e-6)) : 1;
  const rate = learningRate * rateFactor;
  const [correct1, correct2] = [1 - beta1 ** step, 1 - beta2 ** step];
  for (let i = 0; i < param.data.length; i++) {
    const g = grad.data[i] * gradScale * clip;
    m.data[i] = beta1 * m.data[i] + (1 - beta1) * g;
    v.data[i] = beta2 * v.data[i] + (1 - beta2) * g * g;
    const decayed = param.data[i] * (1 - rate * decay);
    param.data[i] = decayed - (rate * (m.data[i] / correct1)) / (Math.sqrt(v.data[i] / correct2) + eps);
  }
}
