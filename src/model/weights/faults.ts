// Numbers that no model can be computed with: NaN and infinities in a checkpoint, and what a narrower dtype makes infinite.
// Found while the weights are loaded, when every number passes by anyway.

import { elementBytes, type FloatDType, type Shape, sizeOf } from "../../engine/dtype.js";
import { CheckpointError } from "./error.js";
import type { TensorFile } from "./tensors.js";

/** What is wrong with one tensor. */
export interface WeightFault {
  readonly tensor: string;
  /** Numbers of the tensor. */
  readonly count: number;
  readonly nans: number;
  readonly infinities: number;
  /** The first of them: its place, row-major, and its value. */
  readonly at: number;
  readonly value: number;
}

/** The bits of the exponent: all are set in a NaN and in an infinity, and in nothing else. */
const exponents: Readonly<Record<FloatDType, number>> = { f32: 0x7f800000, bf16: 0x7f80, f16: 0x7c00 };
const fractions: Readonly<Record<FloatDType, number>> = { f32: 0x7fffff, bf16: 0x7f, f16: 0x3ff };

/**
 * What is wrong with a piece of a tensor; undefined when all of it is finite.
 *
 * @param from - Where the piece starts in the tensor, in bytes.
 */
export function faultsIn(
  piece: Uint8Array,
  { name, dtype, shape }: { readonly name: string; readonly dtype: FloatDType; readonly shape: Shape },
  from: number,
): WeightFault | undefined {
  if (piece.byteOffset % 4 !== 0) return faultsIn(piece.slice(), { name, dtype, shape }, from);
  if (looksFinite(piece, dtype)) return undefined;
  const bytes = elementBytes[dtype];
  const { buffer, byteOffset, byteLength } = piece;
  const words =
    bytes === 2
      ? new Uint16Array(buffer, byteOffset, byteLength / 2)
      : new Uint32Array(buffer, byteOffset, byteLength / 4);
  const [exponent, fraction] = [exponents[dtype], fractions[dtype]];
  let [nans, infinities, at] = [0, 0, -1];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    if ((word & exponent) !== exponent) continue;
    if (at < 0) at = i;
    if (word & fraction) nans += 1;
    else infinities += 1;
  }
  if (at < 0) return undefined;
  const first = words[at] as number;
  const negative = first >>> (8 * bytes - 1) === 1;
  const value = first & fraction ? Number.NaN : negative ? -Infinity : Infinity;
  return { tensor: name, count: sizeOf(shape), nans, infinities, at: from / bytes + at, value };
}

/**
 * Whether a piece holds finite numbers only; false may also be said of one whose length is odd. Two halves at a time: one more in the
 * last place of an exponent whose bits are all set carries into the place of the sign, which was cleared.
 */
function looksFinite({ buffer, byteOffset, byteLength }: Uint8Array, dtype: FloatDType): boolean {
  if (byteLength % 4 !== 0) return false;
  const both = dtype === "f32" ? 1 : 0x10001;
  const exponent = exponents[dtype] * both;
  const last = (fractions[dtype] + 1) * both;
  const words = new Int32Array(buffer, byteOffset, byteLength / 4);
  let carried = 0;
  for (let i = 0; i < words.length; i++) carried |= (((words[i] as number) & exponent) + last) | 0;
  return (carried & (dtype === "f32" ? 0x80000000 : 0x80008000)) === 0;
}

/** What is wrong with two pieces of one tensor, the earlier one first. */
export function addFaults(a: WeightFault | undefined, b: WeightFault | undefined): WeightFault | undefined {
  if (!a || !b) return a ?? b;
  return { ...a, nans: a.nans + b.nans, infinities: a.infinities + b.infinities };
}

/** `"x" holds 2 NaN and 1 infinity among 4096 numbers, the first NaN at 17`, with the tensor's name for x. */
export function describeFault({ tensor, count, nans, infinities, at, value }: WeightFault): string {
  const parts = [
    ...(nans > 0 ? [`${nans} NaN`] : []),
    ...(infinities > 0 ? [`${infinities} ${infinities === 1 ? "infinity" : "infinities"}`] : []),
  ];
  return `"${tensor}" holds ${parts.join(" and ")} among ${count} numbers, the first, ${value}, at ${at}`;
}

/** The largest number of f16. */
const LARGEST = 65504;
/** From here on rounding to nearest gives infinity. */
const OVERFLOWS = 65520;

/**
 * A tensor that was found infinite in f16 is read again as the file has it.
 *
 * @throws CheckpointError naming tensor and number when the file's own are finite: they do not fit f16.
 */
export async function checkFits(file: TensorFile, { tensor }: WeightFault): Promise<void> {
  let [count, wide, largest, place] = [0, 0, 0, 0];
  for await (const { data } of file.pieces(tensor, "f32")) {
    const values = new Float32Array(data.slice().buffer);
    for (const [i, value] of values.entries()) {
      const size = Math.abs(value);
      if (!(size >= OVERFLOWS && size < Infinity)) continue;
      wide += 1;
      if (size > Math.abs(largest)) [largest, place] = [value, count + i];
    }
    count += values.length;
  }
  if (wide === 0) return;
  throw new CheckpointError(
    file.path,
    `${wide} of ${count} numbers do not fit f16, which ends at ${LARGEST}, such as ${largest} at ${place}: load the model with \`dtype: "bf16"\``,
    { tensor },
  );
}
