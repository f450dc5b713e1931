// Arithmetic of a Program: multiply-adds of its matrix products, each counted as two operations. A pure function of shapes.

import { bytesOf, type Op, type OpName, type Program, type Shape } from "../engine/index.js";
import { nameOperands } from "../engine/operands.js";

export interface FlopsOptions {
  /** Part of all query-key pairs that the ranges let through: 1 for all, (seq + 1) / (2 seq) for causal rows. @default 1 */
  readonly seenPart?: number;
  /** Part of the labels that are not IGNORED; ignored ones cost nothing. @default 1 */
  readonly labelledPart?: number;
}

export interface Flops {
  readonly total: number;
  /** Only ops that multiply matrices are here; the rest is memory traffic. */
  readonly byOp: Readonly<Partial<Record<OpName, number>>>;
}

/** Two operations, a multiplication and an addition, for each of the three sizes' product. */
const product = (rows: number, inner: number, columns: number): number => 2 * rows * inner * columns;

/**
 * Operations of one run. Counted is what a step needs, whatever the device does beyond it: a score matrix that the backward of attention
 * computes again is counted (as in Dao 2023, section 4.1), a forward that recomputation repeats is in the Program and so counted too.
 */
export function flopsOf(program: Program, { seenPart = 1, labelledPart = 1 }: FlopsOptions = {}): Flops {
  const byOp: Partial<Record<OpName, number>> = {};
  for (const op of program.ops) {
    const flops = flopsOfOp(program, op, { seenPart, labelledPart });
    if (flops > 0) byOp[op.op] = (byOp[op.op] ?? 0) + flops;
  }
  return { total: Object.values(byOp).reduce((sum, flops) => sum + flops, 0), byOp };
}

function flopsOfOp(program: Program, { op, inputs, outputs, attrs }: Op, options: Required<FlopsOptions>): number {
  const shapeAt = (index: number): Shape | undefined => program.buffers[index]?.shape;
  const shapes = inputs.map(shapeAt);
  const results = outputs.map(shapeAt);
  const rows = (shape: Shape) => shape[0] as number;
  const columns = (shape: Shape) => shape[1] as number;
  switch (op) {
    case "linear": {
      const { x, w, h } = nameOperands(op, shapes, results, attrs);
      return product(rows(x), columns(x), rows(w)) + (h ? product(rows(h), columns(h), rows(w)) : 0);
    }
    case "linearInput": {
      const { dy, w, g } = nameOperands(op, shapes, results, attrs);
      return product(rows(dy), rows(w), columns(w)) + (g ? product(rows(g), columns(g), columns(w)) : 0);
    }
    case "linearWeight": {
      const { dy, x } = nameOperands(op, shapes, results, attrs);
      return product(columns(dy), rows(dy), columns(x));
    }
    case "attention":
    case "attentionBiased":
    case "attentionBackward":
    case "attentionBiasedBackward": {
      const { q, k, batch } = nameOperands(op, shapes, results, attrs);
      // Scores and mix going forward; scores again, dv, dp, dq and dk going back. q has all heads' columns.
      const products = op === "attention" || op === "attentionBiased" ? 2 : 5;
      return products * product(rows(q), columns(q), rows(k) / batch) * options.seenPart;
    }
    case "headLoss": {
      const { x, w, dx, dw } = nameOperands(op, shapes, results, attrs);
      const products = 1 + (dx ? 1 : 0) + (dw ? 1 : 0);
      return products * product(rows(x), columns(x), rows(w)) * options.labelledPart;
    }
    default:
      return 0;
  }
}

/**
 * Bytes of frozen and trained tensors that the matrix products of a Program read, each tensor once: what a token of decoding cannot do
 * without. An embedding is a lookup and not among them.
 */
export function productBytes(program: Program): number {
  const read = new Set<number>();
  for (const { op, inputs } of program.ops) {
    if (op !== "linear" && op !== "headLoss") continue;
    for (const index of inputs) {
      const buffer = program.buffers[index];
      if (buffer && (buffer.arena === "weights" || buffer.arena === "trained")) read.add(index);
    }
  }
  return [...read].reduce((sum, index) => sum + bytesAt(program, index), 0);
}

function bytesAt({ buffers }: Program, index: number): number {
  const { shape, dtype } = buffers[index] as (typeof buffers)[number];
  return bytesOf(dtype, shape);
}
