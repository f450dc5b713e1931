// The number formats a buffer can hold. Next to read: ops.ts, what is done with them.

/** `i8` and 4-bit formats of frozen weights join when quantised storage does. */
export type DType = "f32" | "bf16" | "f16" | "i32";

/** Position in this list is the dtype's code in a serialized Program. Append only. */
export const dtypes = ["f32", "bf16", "f16", "i32"] as const satisfies readonly DType[];

export const bytesOf: Readonly<Record<DType, number>> = { f32: 4, bf16: 2, f16: 2, i32: 4 };

export type Shape = readonly number[];

/** Number of elements; 1 for the empty shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}
