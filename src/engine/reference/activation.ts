// The functions between the matrices of a feed-forward block: gelu, alone and as a gate, and relu. Formulas: ops.ts.

import type { Call } from "../operands.js";
import type { Values } from "./values.js";

const ROOT = Math.sqrt(2 / Math.PI);
const CUBE = 0.044715;

const geluOf = (x: number) => 0.5 * x * (1 + Math.tanh(ROOT * (x + CUBE * x ** 3)));

/** With t = tanh(u): (1 + t) / 2 + x / 2 (1 - t²) u'. */
function slopeOf(x: number): number {
  const t = Math.tanh(ROOT * (x + CUBE * x ** 3));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * CUBE * x * x);
}

export function gelu({ x, y }: Call<"gelu", Values>): void {
  for (let i = 0; i < y.data.length; i++) y.data[i] = geluOf(x.data[i]);
}

export function geluBackward({ dy, x, dx }: Call<"geluBackward", Values>): void {
  for (let i = 0; i < dx.data.length; i++) dx.data[i] = dy.data[i] * slopeOf(x.data[i]);
}

export function geglu({ gate, up, y }: Call<"geglu", Values>): void {
  for (let i = 0; i < y.data.length; i++) y.data[i] = geluOf(gate.data[i]) * up.data[i];
}

export function gegluBackward({ dy, gate, up, dGate, dUp }: Call<"gegluBackward", Values>): void {
  for (let i = 0; i < dy.data.length; i++) {
    const [d, g] = [dy.data[i], gate.data[i]];
    dGate.data[i] = d * up.data[i] * slopeOf(g);
    dUp.data[i] = d * geluOf(g);
  }
}

export function relu({ x, y }: Call<"relu", Values>): void {
  for (let i = 0; i < y.data.length; i++) y.data[i] = x.data[i] < 0 ? 0 : x.data[i]; // a NaN stays
}

export function reluBackward({ dy, x, dx }: Call<"reluBackward", Values>): void {
  for (let i = 0; i < dx.data.length; i++) dx.data[i] = x.data[i] > 0 ? dy.data[i] : 0;
}
