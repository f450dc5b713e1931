// Rotary position embedding, which is its own gradient turned the other way. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { indexAt, sizes, type Values } from "./values.js";

export function rope({ x, cos, sin, positions, y, heads, interleaved, inverse }: Call<"rope", Values>): void {
  const [rows, width] = sizes(x);
  const [table, cols] = sizes(cos);
  const headDim = width / heads;
  y.data.set(x.data);
  for (let t = 0; t < rows; t++) {
    const position = indexAt("positions", positions, t, table);
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < cols; i++) {
        const start = t * width + head * headDim;
        const [first, second] = interleaved ? [start + 2 * i, start + 2 * i + 1] : [start + i, start + i + cols];
        const c = cos.data[position * cols + i];
        const s = sin.data[position * cols + i] * (inverse ? -1 : 1);
        y.data[first] = x.data[first] * c - x.data[second] * s;
        y.data[second] = x.data[second] * c + x.data[first] * s;
      }
    }
  }
}
