// Two orders of the rows of q and k. Rotary positions turn pairs: neighbouring rows as Meta and llama2.c write them, row i of a head's
// first half with row i of its second as Hugging Face does, which is the order here. Used by llama2c.ts and consolidated.ts.

import type { StridedInfo } from "./tensors.js";

/**
 * A matrix [heads * headDim, columns] of neighbouring pairs, read in Hugging Face's order: row 2i + j of a head, of pair i, is its row
 * i + j * headDim / 2.
 *
 * @param strides - Elements from one row to the next, and from one column to the next. @default row-major
 */
export function byHalves<Info extends StridedInfo>(info: Info, heads: number, strides?: readonly number[]): Info {
  const [rows, columns] = info.shape as [number, number];
  const [down, across] = (strides ?? [columns, 1]) as [number, number];
  const headDim = rows / heads;
  const walk = {
    sizes: [heads, 2, headDim / 2, columns],
    strides: [headDim * down, down, 2 * down, across],
  };
  return { ...info, walk };
}
