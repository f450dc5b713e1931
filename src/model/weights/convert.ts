// Floating-point formats into one another, bit by bit. Rounding is to nearest, ties to even, as hardware does.

import type { FloatDType } from "../../engine/dtype.js";
import type { StoredDType } from "./header.js";

const word = new Uint32Array(1);
const number = new Float32Array(word.buffer);

/** f32 bits -> bf16 bits. NaN stays NaN: rounding could carry its payload into infinity. */
function bf16Of(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** f32 bits -> f16 bits, IEEE 754 binary16 with subnormals; beyond 65504 rounds to infinity. */
function f16Of(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above
  if (magnitude >= 0x38800000) {
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded - 0x38000000) >>> 13);
  }
  // Subnormal: counted in units of 2^-24, exact in f64.
  word[0] = magnitude;
  const units = (number[0] as number) * 0x1000000;
  const whole = Math.floor(units);
  const rest = units - whole;
  return sign | (whole + (rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? 1 : 0));
}

function f16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function f32ToBf16(source: Float32Array): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const result = new Uint16Array(source.length);
  for (let i = 0; i < result.length; i++) result[i] = bf16Of(bits[i] as number);
  return result;
}

export function bf16ToF32(source: Uint16Array): Float32Array {
  const result = new Uint32Array(source.length);
  for (let i = 0; i < result.length; i++) result[i] = (source[i] as number) << 16;
  return new Float32Array(result.buffer);
}

export function f32ToF16(source: Float32Array): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const result = new Uint16Array(source.length);
  for (let i = 0; i < result.length; i++) result[i] = f16Of(bits[i] as number);
  return result;
}

/** Values of all 65536 halves, made when first needed. */
let halves: Float32Array | undefined;

export function f16ToF32(source: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 0x10000 }, (_, half) => f16Value(half));
  const result = new Float32Array(source.length);
  for (let i = 0; i < result.length; i++) result[i] = halves[source[i] as number] as number;
  return result;
}

/** How a file names the dtype of numbers in memory. */
export const storedAs = { f32: "F32", bf16: "BF16", f16: "F16" } as const satisfies Record<string, StoredDType>;

/**
 * Stored floating-point bytes in the wanted dtype; the same bytes when they already are. Codes of one byte, "i8", stay as they are.
 *
 * @returns undefined when the stored dtype holds no floating-point numbers, or no codes where those are wanted.
 */
export function convert(stored: Uint8Array, from: StoredDType, to: FloatDType | "i8"): Uint8Array | undefined {
  if (to === "i8") return from === "I8" ? stored : undefined;
  if (stored.byteOffset % 8 !== 0) return convert(stored.slice(), from, to);
  const { buffer, byteOffset, length } = stored;
  if ((from === "F32" && to === "f32") || (from === "BF16" && to === "bf16") || (from === "F16" && to === "f16"))
    return stored;
  let values: Float32Array;
  if (from === "F32") values = new Float32Array(buffer, byteOffset, length / 4);
  else if (from === "BF16") values = bf16ToF32(new Uint16Array(buffer, byteOffset, length / 2));
  else if (from === "F16") values = f16ToF32(new Uint16Array(buffer, byteOffset, length / 2));
  else if (from === "F64") values = Float32Array.from(new Float64Array(buffer, byteOffset, length / 8));
  else return undefined;
  const result = to === "f32" ? values : to === "bf16" ? f32ToBf16(values) : f32ToF16(values);
  return new Uint8Array(result.buffer, result.byteOffset, result.byteLength);
}
