// RMS norm and its gradients. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { sizes, type Values } from "./values.js";

export function rmsNorm({ x, weight, y, rstd, eps }: Call<"rmsNorm", Values>): void {
  const [rows, width] = sizes(x);
  for (let t = 0; t < rows; t++) {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += x.data[t * width + i] ** 2;
    const r = 1 / Math.sqrt(squares / width + eps);
    rstd.data[t] = r;
    for (let i = 0; i < width; i++) y.data[t * width + i] = x.data[t * width + i] * r * weight.data[i];
  }
}

export function rmsNormInput({ dy, x, weight, rstd, dx, accumulate }: Call<"rmsNormInput", Values>): void {
  const [rows, width] = sizes(x);
  for (let t = 0; t < rows; t++) {
    const r = rstd.data[t];
    let mean = 0;
    for (let i = 0; i < width; i++) mean += dy.data[t * width + i] * weight.data[i] * x.data[t * width + i];
    mean /= width;
    for (let i = 0; i < width; i++) {
      const at = t * width + i;
      const gradient = r * (dy.data[at] * weight.data[i] - x.data[at] * r * r * mean);
      dx.data[at] = (accumulate ? dx.data[at] : 0) + gradient;
    }
  }
}

export function rmsNormWeight({ dy, x, rstd, dWeight }: Call<"rmsNormWeight", Values>): void {
  const [rows, width] = sizes(x);
  for (let t = 0; t < rows; t++) {
    for (let i = 0; i < width; i++) {
      const at = t * width + i;
      dWeight.data[i] += dy.data[at] * x.data[at] * rstd.data[t];
    }
  }
}
