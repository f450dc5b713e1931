// What the reference kernels compute with: an operand's numbers in f64. Next to read: kernels.ts.

import { EngineError } from "../device.js";
import type { DType, FloatDType, Shape } from "../dtype.js";
import { roundTo } from "../number.js";
import type { Uniforms } from "../ops.js";

/** An operand: inputs are copies, outputs are what will be stored once the kernel has returned. */
export interface Values {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** What a kernel may know besides its operands. */
export interface Context {
  readonly uniforms: Uniforms;
  /** Nothing is rounded, so that finite differences are clean. */
  readonly exact: boolean;
}

/** Rows and columns of a matrix. */
export function sizes(values: Values): readonly [number, number] {
  return [values.shape[0] as number, values.shape[1] as number];
}

/** A weight as it enters a product with activations: rounded to their dtype, where they are narrower. */
export function asFactor(weight: Values, act: DType, { exact }: Context): Float64Array {
  return exact || act === "f32" ? weight.data : weight.data.map((value) => roundTo(value, act as FloatDType));
}

/** An index read from an operand. @throws EngineError when it is not in 0 .. count - 1. */
export function indexAt(name: string, values: Values, i: number, count: number): number {
  const index = values.data[i] as number;
  if (index >= 0 && index < count) return index;
  throw new EngineError(`${name}[${i}] is ${index}, expected 0 to ${count - 1}`);
}
