// The matrix products: linear and its gradients. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { asFactor, type Context, sizes, type Values } from "./values.js";

export function linear({ x, w, bias, h, b, y, scale }: Call<"linear", Values>, context: Context): void {
  const [rows, inner] = sizes(x);
  const [outer] = sizes(w);
  const factor = asFactor(w, x.dtype, context);
  const up = b && asFactor(b, x.dtype, context);
  const rank = h ? sizes(h)[1] : 0;
  for (let t = 0; t < rows; t++) {
    for (let n = 0; n < outer; n++) {
      let sum = bias ? bias.data[n] : 0;
      for (let k = 0; k < inner; k++) sum += x.data[t * inner + k] * factor[n * inner + k];
      let update = 0;
      if (h && up) for (let r = 0; r < rank; r++) update += h.data[t * rank + r] * up[n * rank + r];
      y.data[t * outer + n] = sum + scale * update;
    }
  }
}

export function linearInput(call: Call<"linearInput", Values>, context: Context): void {
  const { dy, w, g, a, dx, alpha, accumulate } = call;
  const [rows, outer] = sizes(dy);
  const [, inner] = sizes(w);
  const factor = asFactor(w, dy.dtype, context);
  const down = a && asFactor(a, dy.dtype, context);
  const rank = g ? sizes(g)[1] : 0;
  for (let t = 0; t < rows; t++) {
    for (let k = 0; k < inner; k++) {
      let sum = 0;
      for (let n = 0; n < outer; n++) sum += dy.data[t * outer + n] * factor[n * inner + k];
      let update = 0;
      if (g && down) for (let r = 0; r < rank; r++) update += g.data[t * rank + r] * down[r * inner + k];
      dx.data[t * inner + k] = (accumulate ? dx.data[t * inner + k] : 0) + alpha * sum + update;
    }
  }
}

export function linearWeight({ dy, x, dW, alpha }: Call<"linearWeight", Values>): void {
  const [rows, outer] = sizes(dy);
  const [, inner] = sizes(x);
  for (let n = 0; n < outer; n++) {
    for (let k = 0; k < inner; k++) {
      let sum = 0;
      for (let t = 0; t < rows; t++) sum += dy.data[t * outer + n] * x.data[t * inner + k];
      dW.data[n * inner + k] += alpha * sum;
    }
  }
}

export function linearBias({ dy, db }: Call<"linearBias", Values>): void {
  const [rows, outer] = sizes(dy);
  for (let t = 0; t < rows; t++) for (let n = 0; n < outer; n++) db.data[n] += dy.data[t * outer + n];
}
