// Scratch that the cpu device needs for each op, so that memory can be planned on any machine. The same sums as native/workspace.cpp;
// a test compiles every op with exactly these bytes and with one less.

import type { ShapedOp } from "./device.js";
import type { Shape } from "./dtype.js";
import { align } from "./program.js";

// Blocks of the matrix product.
const TILE_ROWS = 12;
const TILE_COLS = 32;
const BLOCK_ROWS = 43 * TILE_ROWS;
const TILE_SIDE = 32;
const TILED_BLOCK_ROWS = 16 * TILE_SIDE;
const TILE_STEPS = 16;
const PATCH_COLS = 4 * TILE_COLS;
const PANEL_BYTES = 1024;
const FEW_ROWS = 8;
const FEW_STEP = 128;

// Blocks of attention.
const QUERIES = 8 * TILE_ROWS;
const KEYS = 3 * TILE_COLS;
const KEY_ROWS = KEYS + 4;
const HEADS_PER_THREAD = 2;

// Blocks of attention with a number by distance.
const BIASED_QUERIES = 32;
const BIASED_KEYS = 64;
const BIASED_WIDTH = 16;

const VOCAB_BLOCK = 4096;
const SQUARES_BLOCK = 4096;

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** A product with m rows over k: packed rows, and for each thread packed columns and sums. */
function productBytes(m: number, k: number, threads: number): number {
  // The same for every instruction set: room for whichever tiles need more.
  const rows = Math.max(roundUp(Math.min(m, BLOCK_ROWS), TILE_ROWS), roundUp(Math.min(m, TILED_BLOCK_ROWS), TILE_SIDE));
  return align(4 * rows * k) + threads * (TILE_COLS * PANEL_BYTES + align(4 * PATCH_COLS * rows));
}

function biasedBytes(headDim: number, distances: number): number {
  const blocks = (4 * BIASED_KEYS + BIASED_QUERIES + 2) * roundUp(headDim, BIASED_WIDTH);
  return align(4 * (blocks + 4 * BIASED_KEYS + 2 * BIASED_QUERIES + distances));
}

function biasedBackwardBytes({ inputs, outputs, attrs }: ShapedOp, threads: number): number {
  const [batch, heads] = attrs as readonly [number, number];
  const blocks = Math.ceil(axis(inputs[1], 0) / batch / BIASED_QUERIES);
  const sums = outputs[3] ? align(8 * batch * heads * blocks * axis(inputs[8], 0)) : 0;
  return sums + threads * biasedBytes(Math.floor(axis(inputs[1], 1) / heads), axis(inputs[9], 0));
}

const padded = (k: number) => roundUp(k, TILE_STEPS);

function attentionBytes(headDim: number): number {
  const width = roundUp(headDim, TILE_COLS);
  return align(4 * (2 * (QUERIES + KEY_ROWS) * width + 2 * KEY_ROWS * TILE_COLS + 2 * QUERIES));
}

/** One thread keeps the sums of all keys of a head, or of a block of them where the heads are few for the threads. */
function attentionBackwardBytes({ inputs, attrs }: ShapedOp, threads: number): number {
  const [batch, heads, kvHeads] = attrs as readonly [number, number, number];
  const keys = Math.floor(axis(inputs[2], 0) / batch);
  const keyRows = roundUp(batch * kvHeads >= HEADS_PER_THREAD * threads ? keys : Math.min(keys, KEYS), 4);
  const width = roundUp(Math.floor(axis(inputs[0], 1) / heads), TILE_COLS);
  const laidOut = (4 * QUERIES + 3 * KEY_ROWS) * width;
  const scores = KEY_ROWS * (2 * QUERIES + 3 * TILE_COLS);
  return align(4 * (laidOut + scores + (QUERIES + 2 * keyRows) * width + 2 * QUERIES));
}

function linearBytes(rows: number, inner: number, rank: number, threads: number): number {
  return rows <= FEW_ROWS
    ? align(4 * rows * (roundUp(inner, FEW_STEP) + rank))
    : productBytes(rows, padded(inner) + padded(rank), threads);
}

function headLossBytes({ inputs, outputs, attrs }: ShapedOp, threads: number): number {
  const width = axis(inputs[0], 1);
  const vocab = axis(inputs[1], 0);
  const chunk = attrs[0] as number;
  let product = productBytes(chunk, padded(width), threads);
  let bytes = align(4 * chunk);
  if (outputs[2]) {
    bytes += align(4 * chunk * width);
    product = Math.max(product, productBytes(chunk, padded(Math.min(vocab, VOCAB_BLOCK)), threads));
  }
  if (outputs[3]) product = Math.max(product, productBytes(vocab, padded(chunk), threads));
  return bytes + product;
}

function axis(operand: { readonly shape: Shape } | undefined, i: number): number {
  return operand?.shape[i] ?? 0;
}

/**
 * Bytes of scratch that the cpu device needs for an op.
 *
 * @param threads - Threads the device will have: each multiplies in scratch of its own.
 */
export function cpuWorkspaceBytes(shaped: ShapedOp, threads: number): number {
  const { op, inputs, attrs } = shaped;
  const [first, , third, fourth] = inputs;
  switch (op) {
    case "linear":
      return linearBytes(axis(first, 0), axis(first, 1), axis(fourth, 1), threads);
    case "linearInput":
      return productBytes(axis(first, 0), padded(axis(first, 1)) + padded(axis(third, 1)), threads);
    case "linearWeight":
      return productBytes(axis(first, 1), padded(axis(first, 0)), threads);
    case "attention":
      return threads * attentionBytes(Math.floor(axis(first, 1) / (attrs[1] as number)));
    case "attentionBackward":
      return threads * attentionBackwardBytes(shaped, threads);
    case "attentionBiased":
      return threads * biasedBytes(Math.floor(axis(first, 1) / (attrs[1] as number)), axis(inputs[6], 0));
    case "attentionBiasedBackward":
      return biasedBackwardBytes(shaped, threads);
    case "headLoss":
      return headLossBytes(shaped, threads);
    case "sumSquares":
      return align(8 * Math.ceil((first?.shape.reduce((size, n) => size * n, 1) ?? 0) / SQUARES_BLOCK));
    default:
      return 0;
  }
}
