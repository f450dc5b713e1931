// Ops on numbers one by one: swiglu, add, scaledAdd, cast, zero, dropout. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { keepsElement } from "../random.js";
import type { Context, Values } from "./values.js";

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export function swiglu({ gate, up, y }: Call<"swiglu", Values>): void {
  for (let i = 0; i < y.data.length; i++) y.data[i] = gate.data[i] * sigmoid(gate.data[i]) * up.data[i];
}

/** d/dg (g σ(g)) = σ(g) (1 + g (1 - σ(g))). */
export function swigluBackward({ dy, gate, up, dGate, dUp }: Call<"swigluBackward", Values>): void {
  for (let i = 0; i < dy.data.length; i++) {
    const g = gate.data[i];
    const s = sigmoid(g);
    dGate.data[i] = dy.data[i] * up.data[i] * s * (1 + g * (1 - s));
    dUp.data[i] = dy.data[i] * g * s;
  }
}

export function add({ a, b, y }: Call<"add", Values>): void {
  for (let i = 0; i < y.data.length; i++) y.data[i] = a.data[i] + b.data[i];
}

export function scaledAdd({ a, b, y, alpha }: Call<"scaledAdd", Values>): void {
  for (let i = 0; i < y.data.length; i++) y.data[i] = alpha * a.data[i] + (b ? b.data[i] : 0);
}

export function cast({ x, y }: Call<"cast", Values>): void {
  y.data.set(x.data);
}

export function zero({ x }: Call<"zero", Values>): void {
  x.data.fill(0);
}

export function dropout({ x, y, p, stream }: Call<"dropout", Values>, { uniforms }: Context): void {
  const { seed, step, micro } = uniforms;
  for (let i = 0; i < y.data.length; i++) {
    y.data[i] = keepsElement(p, seed, step, micro, stream, i) ? x.data[i] / (1 - p) : 0;
  }
}
