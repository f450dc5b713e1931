// A Program: a flat list of ops over buffers with fixed places in arenas, and its bytes on the way to native code.
// Made by graph/; run by a Device (device.ts).

import { bytesOf, type DType, dtypes, type Shape } from "./dtype.js";
import { type OpName, ops } from "./ops.js";

/** What a buffer's memory is for. The memory plan and the meter count by these, in this order. */
export const categories = [
  "weights",
  "trained",
  "gradients",
  "optimizer",
  "activations",
  "workspace",
  "cache",
  "io",
] as const;
export type Category = (typeof categories)[number];

/** Bytes of all categories together; a category that is absent, as in an older file, counts nothing. */
export function totalBytes(memory: Readonly<Partial<Record<Category, number>>>): number {
  return categories.reduce((sum, category) => sum + (memory[category] ?? 0), 0);
}

/** Every buffer starts at a multiple of this many bytes. */
export const ALIGNMENT = 256;

export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

export interface Buffer {
  readonly name: string;
  readonly arena: Category;
  /** Bytes from the start of the arena. */
  readonly offset: number;
  readonly dtype: DType;
  readonly shape: Shape;
}

export interface Op {
  readonly op: OpName;
  /** Indices into `buffers`, in the order of the op's spec; -1 for an absent optional operand. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** In the order of the op's spec. */
  readonly attrs: readonly number[];
  /** Scratch of the arena "workspace" for this op alone, as large as the device asked for. */
  readonly workspace: { readonly offset: number; readonly bytes: number };
}

export interface Program {
  readonly name: string;
  /** Bytes this Program needs of each arena; 0 where it uses none. */
  readonly arenaBytes: Readonly<Record<Category, number>>;
  readonly buffers: readonly Buffer[];
  readonly ops: readonly Op[];
}

export function bufferBytes(buffer: Pick<Buffer, "dtype" | "shape">): number {
  return bytesOf(buffer.dtype, buffer.shape);
}

/** The first bytes of a serialized Program: "TBP" and the version of the layout below. */
const MAGIC = 0x01504254;

/**
 * Program as bytes, little endian, every field 8-byte aligned:
 *
 *     u32 magic, u32 arenas, u32 buffers, u32 ops
 *     per arena   f64 bytes
 *     per buffer  u32 arena, u32 dtype, f64 offset, u32 rank, u32 unused, f64 x rank sizes
 *     per op      u32 code, u32 inputs, u32 outputs, u32 attrs, f64 workspace offset, f64 workspace bytes,
 *                 then f64 x (inputs + outputs + attrs): buffer indices, attribute values
 *
 * Names stay behind: errors come back with the op's position and operand, and TypeScript words them.
 */
export function serialize(program: Program): Uint8Array {
  const { buffers, ops: list } = program;
  const cells =
    2 +
    categories.length +
    buffers.reduce((sum, buffer) => sum + 3 + buffer.shape.length, 0) +
    list.reduce((sum, op) => sum + 4 + op.inputs.length + op.outputs.length + op.attrs.length, 0);
  const view = new DataView(new ArrayBuffer(cells * 8));
  let at = 0;
  const words = (...values: number[]) => {
    for (const value of values) view.setUint32((at += 4) - 4, value, true);
  };
  const doubles = (...values: number[]) => {
    for (const value of values) view.setFloat64((at += 8) - 8, value, true);
  };
  words(MAGIC, categories.length, buffers.length, list.length);
  doubles(...categories.map((category) => program.arenaBytes[category]));
  for (const buffer of buffers) {
    words(categories.indexOf(buffer.arena), dtypes.indexOf(buffer.dtype));
    doubles(buffer.offset);
    words(buffer.shape.length, 0);
    doubles(...buffer.shape);
  }
  for (const op of list) {
    words(ops[op.op].code, op.inputs.length, op.outputs.length, op.attrs.length);
    doubles(op.workspace.offset, op.workspace.bytes, ...op.inputs, ...op.outputs, ...op.attrs);
  }
  return new Uint8Array(view.buffer);
}
