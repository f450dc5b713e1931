// Heads taken apart and put together, and rotary positions of several sections. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { indexAt, sizes, type Values } from "./values.js";

export function splitHeads({ x, a, b, c, heads }: Call<"splitHeads", Values>): void {
  eachPart(x, heads, [a, b, c], (part, to, from) => {
    part.data[to] = x.data[from];
  });
}

export function joinHeads({ a, b, c, x, heads }: Call<"joinHeads", Values>): void {
  eachPart(x, heads, [a, b, c], (part, from, to) => {
    x.data[to] = part.data[from];
  });
}

/** Every number of every part with its place in the part and in x. */
function eachPart(
  x: Values,
  heads: number,
  parts: readonly Values[],
  visit: (part: Values, inPart: number, inX: number) => void,
): void {
  const [rows, width] = sizes(x);
  const headDim = width / heads / 3;
  for (const [p, part] of parts.entries()) {
    for (let i = 0; i < rows * heads * headDim; i++) {
      visit(part, i, (Math.floor(i / headDim) * 3 + p) * headDim + (i % headDim));
    }
  }
}

export function ropeSections({ cos, sin, positions, x, y, heads, inverse }: Call<"ropeSections", Values>): void {
  const [places, cols] = sizes(cos);
  const [rows, sections] = sizes(positions);
  for (let t = 0; t < rows; t++) {
    for (let part = 0; part < heads * sections; part++) {
      const place = indexAt("positions", positions, t * sections + (part % sections), places);
      for (let i = 0; i < cols; i++) {
        const first = (t * heads * sections + part) * 2 * cols + i;
        const [a, b] = [x.data[first], x.data[first + cols]];
        const c = cos.data[place * cols + i];
        const s = sin.data[place * cols + i] * (inverse ? -1 : 1);
        y.data[first] = a * c - b * s;
        y.data[first + cols] = b * c + a * s;
      }
    }
  }
}
