// The number formats a buffer can hold. Next to read: quantized.ts, frozen matrices in few bits; ops.ts, what is done with them.

import { isQuantized, type QuantizedDType, quantizedLayout } from "./quantized.js";

/** Formats in which every number has bytes of its own. */
export type PlainDType = "f32" | "bf16" | "f16" | "i32";
/** Formats of activations, and of whatever trains. */
export type FloatDType = Exclude<PlainDType, "i32">;
export type DType = PlainDType | QuantizedDType;

/** Position in this list is the dtype's code in a serialized Program. Append only. */
export const dtypes = ["f32", "bf16", "f16", "i32", "i8", "i4", "nf4"] as const satisfies readonly DType[];

/** Bytes of one number. */
export const elementBytes: Readonly<Record<PlainDType, number>> = { f32: 4, bf16: 2, f16: 2, i32: 4 };

export type Shape = readonly number[];

/** Number of elements; 1 for the empty shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of a buffer; those of a quantised matrix hold its scales too. */
export function bytesOf(dtype: DType, shape: Shape): number {
  return isQuantized(dtype) ? quantizedLayout(dtype, shape).bytes : sizeOf(shape) * elementBytes[dtype];
}
