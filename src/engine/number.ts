// Numbers to bytes and back, for each dtype, with IEEE's round-to-nearest-even. Used by the devices written in TypeScript.

import { elementBytes, type PlainDType } from "./dtype.js";

const word = new DataView(new ArrayBuffer(4));

/** The 32 bits of a number rounded to f32. */
function bitsOf(value: number): number {
  word.setFloat32(0, value);
  return word.getUint32(0);
}

function fromBits(bits: number): number {
  word.setUint32(0, bits);
  return word.getFloat32(0);
}

/** The 16 bits of a number as bf16: the upper half of an f32, rounded to nearest, ties to even. */
export function toBf16(value: number): number {
  const bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff; // a NaN stays one
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromBf16(half: number): number {
  return fromBits((half << 16) >>> 0);
}

/** The 16 bits of a number as IEEE binary16, rounded to nearest, ties to even; beyond 65504 + 1/2 step it is infinite. */
export function toF16(value: number): number {
  const sign = bitsOf(value) >>> 31 ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return sign | 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  // 2^-14 is the smallest normal number; below it the step stays 2^-24.
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -14)));
  const step = 2 ** (exponent - 10);
  const steps = roundToEven(size / step);
  // A carry into the next exponent comes out right by addition: the fields are adjacent.
  return sign | (steps + ((exponent + 14) << 10));
}

export function fromF16(half: number): number {
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** The nearest number that the dtype can hold. */
export function roundTo(value: number, dtype: PlainDType): number {
  switch (dtype) {
    case "f32":
      return Math.fround(value);
    case "bf16":
      return fromBf16(toBf16(value));
    case "f16":
      return fromF16(toF16(value));
    case "i32":
      return value | 0;
    default:
      return dtype satisfies never;
  }
}

/** Bytes (little endian) as numbers; `bytes` may start anywhere in its buffer. */
export function decode(bytes: Uint8Array, dtype: PlainDType): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = elementBytes[dtype];
  const values = new Float64Array(bytes.byteLength / size);
  for (let i = 0; i < values.length; i++) {
    if (dtype === "f32") values[i] = view.getFloat32(i * 4, true);
    else if (dtype === "i32") values[i] = view.getInt32(i * 4, true);
    else values[i] = (dtype === "bf16" ? fromBf16 : fromF16)(view.getUint16(i * 2, true));
  }
  return values;
}

/** Numbers as bytes (little endian), rounded to the dtype. */
export function encode(values: ArrayLike<number>, dtype: PlainDType): Uint8Array {
  const bytes = new Uint8Array(values.length * elementBytes[dtype]);
  encodeInto(bytes, values, dtype);
  return bytes;
}

/** As `encode`, into memory that is there already. */
export function encodeInto(bytes: Uint8Array, values: ArrayLike<number>, dtype: PlainDType): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (dtype === "f32") view.setFloat32(i * 4, value, true);
    else if (dtype === "i32") view.setInt32(i * 4, value, true);
    else view.setUint16(i * 2, (dtype === "bf16" ? toBf16 : toF16)(value), true);
  }
}
