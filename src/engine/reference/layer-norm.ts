// Layer norm and its gradients. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { sizes, type Values } from "./values.js";

export function layerNorm({ x, weight, bias, y, mean, rstd, eps }: Call<"layerNorm", Values>): void {
  const [rows, width] = sizes(x);
  for (let t = 0; t < rows; t++) {
    const row = x.data.subarray(t * width, (t + 1) * width);
    const m = row.reduce((sum, value) => sum + value, 0) / width;
    const variance = row.reduce((sum, value) => sum + (value - m) ** 2, 0) / width;
    const r = 1 / Math.sqrt(variance + eps);
    mean.data[t] = m;
    rstd.data[t] = r;
    for (let i = 0; i < width; i++) y.data[t * width + i] = (row[i] - m) * r * weight.data[i] + bias.data[i];
  }
}

export function layerNormInput(call: Call<"layerNormInput", Values>): void {
  const { dy, x, weight, mean, rstd, dx, accumulate } = call;
  const [rows, width] = sizes(x);
  for (let t = 0; t < rows; t++) {
    const [m, r] = [mean.data[t], rstd.data[t]];
    let [pull, turn] = [0, 0];
    for (let i = 0; i < width; i++) {
      const g = dy.data[t * width + i] * weight.data[i];
      pull += g / width;
      turn += (g * (x.data[t * width + i] - m) * r) / width;
    }
    for (let i = 0; i < width; i++) {
      const at = t * width + i;
      const gradient = r * (dy.data[at] * weight.data[i] - pull - (x.data[at] - m) * r * turn);
      dx.data[at] = (accumulate ? dx.data[at] : 0) + gradient;
    }
  }
}

export function layerNormWeight({ dy, x, mean, rstd, dWeight }: Call<"layerNormWeight", Values>): void {
  const [rows, width] = sizes(x);
  for (let t = 0; t < rows; t++) {
    for (let i = 0; i < width; i++) {
      const at = t * width + i;
      dWeight.data[i] += dy.data[at] * (x.data[at] - mean.data[t]) * rstd.data[t];
    }
  }
}
