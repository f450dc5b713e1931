// Whole rows moved by index: embedding, gatherRows, writeRows. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { indexAt, sizes, type Values } from "./values.js";

export function embedding({ weight, ids, y }: Call<"embedding", Values>): void {
  gather("ids", weight, ids, y);
}

export function gatherRows({ x, rows, y }: Call<"gatherRows", Values>): void {
  gather("rows", x, rows, y);
}

function gather(name: string, table: Values, ids: Values, y: Values): void {
  const [rows, width] = sizes(table);
  for (let t = 0; t < ids.data.length; t++) {
    const row = indexAt(name, ids, t, rows) * width;
    y.data.set(table.data.subarray(row, row + width), t * width);
  }
}

export function embeddingWeight({ dy, ids, dWeight }: Call<"embeddingWeight", Values>): void {
  const [rows, width] = sizes(dWeight);
  for (let t = 0; t < ids.data.length; t++) {
    const row = indexAt("ids", ids, t, rows);
    for (let i = 0; i < width; i++) dWeight.data[row * width + i] += dy.data[t * width + i];
  }
}

export function writeRows({ x, rows, cache }: Call<"writeRows", Values>): void {
  const [count, width] = sizes(cache);
  for (let t = 0; t < rows.data.length; t++) {
    if (rows.data[t] < 0) continue;
    const row = indexAt("rows", rows, t, count);
    cache.data.set(x.data.subarray(t * width, (t + 1) * width), row * width);
  }
}
