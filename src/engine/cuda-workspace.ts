// Scratch that a GPU needs for each op, so that memory can be planned on any machine. The same sums as native/cuda/workspace.cpp;
// a test compiles every op with exactly these bytes and with one less.

import type { ShapedOp } from "./device.js";
import type { DType, Shape } from "./dtype.js";
import { sizeOf } from "./dtype.js";
import { align } from "./program.js";

const FEW_ROWS = 8;
const SQUARES_BLOCK = 4096;
const STEP = 32;
const LEAST_STEPS = 4;
const MOST_SPLITS = 32;
const ENOUGH_TILES = 128;

type Operand = { readonly dtype: DType; readonly shape: Shape } | undefined;

function axis(operand: Operand, i: number): number {
  return operand?.shape[i] ?? 0;
}

/** A product [m, n] over k and an adapter's rank: room for the parts that its sums are split in, where there are too few results. */
function productBytes(m: number, n: number, k: number, rank: number, dtype: DType | undefined): number {
  const large = dtype !== "f32" && Math.ceil(m / 128) * Math.ceil(n / 128) >= ENOUGH_TILES / 2;
  const side = large ? 128 : 64;
  const tiles = Math.ceil(m / side) * Math.ceil(n / side);
  if (tiles >= ENOUGH_TILES) return 0;
  const steps = Math.ceil(k / STEP) + Math.ceil(rank / STEP);
  const splits = Math.min(Math.ceil((2 * ENOUGH_TILES) / tiles), Math.floor(steps / LEAST_STEPS), MOST_SPLITS);
  return splits > 1 ? align(4 * splits * m * n) : 0;
}

/** Bytes of scratch that a cuda device needs for an op, whatever the card. */
export function cudaWorkspaceBytes({ op, inputs, attrs }: ShapedOp): number {
  const [first, second, third, fourth] = inputs;
  const [rows, width] = [axis(first, 0), axis(first, 1)];
  switch (op) {
    case "linear":
      return rows <= FEW_ROWS ? 0 : productBytes(rows, axis(second, 0), width, axis(fourth, 1), first?.dtype);
    case "linearInput":
      return productBytes(rows, axis(second, 1), width, axis(third, 1), first?.dtype);
    case "linearWeight":
      return productBytes(width, axis(second, 1), rows, 0, first?.dtype);
    case "attentionBackward":
      return align(4 * axis(second, 0) * (attrs[1] as number));
    case "headLoss":
      return align(4 * (rows + 1));
    case "sumSquares":
      return align(8 * Math.ceil(sizeOf(first?.shape ?? []) / SQUARES_BLOCK));
    default:
      return 0;
  }
}
