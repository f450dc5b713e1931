// Frozen matrices in 8 or 4 bits: how codes and scales lie in one buffer, and the formulas to f32 and back. The spec of every device:
// each step below is f32 arithmetic, so that codes are equal everywhere. The same layout in C++: native/quantized.h.

import type { DType, Shape } from "./dtype.js";

/**
 * Formats of a matrix [N, K] in the arena "weights". Where a product wants f32 it reads f32(code) * scale, rounded once.
 *
 *     i8     one scale per row: scale = absmax / 127, code = w / scale rounded to even
 *     i4     a scale per group of 64 along the row (the last may be shorter): absmax / 7, codes -8 to 7, stored + 8
 *     nf4    the same groups, scale = absmax, code = the nearest of 16 levels
 *
 * A group's scale is itself quantised (double quantisation, QLoRA, section 3): scale = row scale * (c / 255)², c one byte per group. The
 * square keeps the relative error of a scale near 1 / c, 0.5 % where groups are alike and 5 % where one is a hundredth of its row's
 * largest; c = 255 is exactly 1, so that files with one scale per row are held as they are, and c = 0 is exactly 0.
 *
 * Dettmers et al. 2023, QLoRA, https://arxiv.org/abs/2305.14314
 */
export type QuantizedDType = "i8" | "i4" | "nf4";

export function isQuantized(dtype: DType): dtype is QuantizedDType {
  return dtype === "i8" || dtype === "i4" || dtype === "nf4";
}

/** Numbers of a row that share a scale. */
export const GROUP = 64;

/** The scales start at a multiple of this. */
const SCALES_ALIGNMENT = 64;

/**
 * Places in the buffer of a matrix [rows, columns], in bytes from its start:
 *
 *     codes [rows, rowBytes], row-major; in 4 bits the even column in the upper half of its byte
 *     scales [rows] f32, from `scales`          factors [rows, groups] u8, from `factors`: c of each group; none in i8
 */
export interface QuantizedLayout {
  readonly rows: number;
  readonly columns: number;
  readonly rowBytes: number;
  readonly groups: number;
  readonly scales: number;
  readonly factors: number;
  readonly bytes: number;
}

/** What is wrong with the shape of a quantised matrix; undefined when nothing is. */
export function quantizedShapeProblem(dtype: QuantizedDType, shape: Shape): string | undefined {
  if (shape.length !== 2) return `a matrix [N, K] for ${dtype}`;
  if (dtype !== "i8" && (shape[1] as number) % 2 !== 0) return `an even number of columns for ${dtype}`;
  return undefined;
}

export function quantizedLayout(dtype: QuantizedDType, shape: Shape): QuantizedLayout {
  const columns = shape[shape.length - 1] ?? 1;
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const rowBytes = dtype === "i8" ? columns : Math.ceil(columns / 2);
  const groups = dtype === "i8" ? 0 : Math.ceil(columns / GROUP);
  const scales = Math.ceil((rows * rowBytes) / SCALES_ALIGNMENT) * SCALES_ALIGNMENT;
  const factors = scales + 4 * rows;
  return { rows, columns, rowBytes, groups, scales, factors, bytes: factors + rows * groups };
}

/** Quantiles of a normal distribution, with an exact 0: QLoRA, appendix E, rounded to f32. */
const normalLevels = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/** What a code of 4 bits stands for, before its scale. */
const levels = { i4: Float32Array.from({ length: 16 }, (_, code) => code - 8), nf4: normalLevels } as const;

/** Where one level of nf4 begins to be the nearest; a number in the middle takes the lower one. */
const borders = normalLevels.subarray(0, 15).map((level, i) => (level + (normalLevels[i + 1] as number)) / 2);

const factorOf = Float32Array.from({ length: 256 }, (_, c) => (c * c) / 65025);

const largestCode = { i8: 127, i4: 7, nf4: 1 } as const;

const { fround } = Math;

/** Numbers, row-major, as the bytes of a matrix. A row that holds a number which is not finite gets the scale NaN: its products say so. */
export function quantize(values: ArrayLike<number>, dtype: QuantizedDType, shape: Shape): Uint8Array {
  const layout = quantizedLayout(dtype, shape);
  const bytes = new Uint8Array(layout.bytes);
  const view = new DataView(bytes.buffer);
  for (let row = 0; row < layout.rows; row++) {
    const numbers = Float32Array.from({ length: layout.columns }, (_, k) => values[row * layout.columns + k] as number);
    const largest = absmax(numbers);
    const scale = Number.isFinite(largest) ? fround(largest / largestCode[dtype]) : Number.NaN;
    view.setFloat32(layout.scales + 4 * row, scale, true);
    if (dtype === "i8") {
      for (const [k, value] of numbers.entries()) {
        view.setInt8(row * layout.rowBytes + k, scale > 0 ? nearestWhole(fround(value / scale), -127, 127) : 0);
      }
      continue;
    }
    for (let group = 0; group < layout.groups; group++) {
      const part = numbers.subarray(group * GROUP, (group + 1) * GROUP);
      const share = scale > 0 ? fround(Math.sqrt(fround(absmax(part) / largest))) : 0;
      const c = roundToEven(fround(255 * share));
      bytes[layout.factors + row * layout.groups + group] = c;
      const own = fround(scale * (factorOf[c] as number));
      for (const [i, value] of part.entries()) {
        const code = codeOf(dtype, value, own);
        const k = group * GROUP + i;
        const at = row * layout.rowBytes + (k >> 1);
        bytes[at] = (bytes[at] as number) | (k % 2 === 0 ? code << 4 : code);
      }
    }
  }
  return bytes;
}

/** The numbers that the bytes of a matrix stand for: of all its rows, or of those from `first` up to and without `end`. */
export function dequantize(
  bytes: Uint8Array,
  dtype: QuantizedDType,
  shape: Shape,
  { first = 0, end }: { readonly first?: number; readonly end?: number } = {},
): Float32Array {
  const layout = quantizedLayout(dtype, shape);
  const { columns, rowBytes, groups } = layout;
  const last = end ?? layout.rows;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array((last - first) * columns);
  for (let row = first; row < last; row++) {
    const scale = view.getFloat32(layout.scales + 4 * row, true);
    for (let k = 0; k < columns; k++) {
      const at = (row - first) * columns + k;
      if (dtype === "i8") {
        values[at] = view.getInt8(row * rowBytes + k) * scale;
        continue;
      }
      const pair = bytes[row * rowBytes + (k >> 1)] as number;
      const level = levels[dtype][k % 2 === 0 ? pair >> 4 : pair & 15] as number;
      const c = bytes[layout.factors + row * groups + Math.floor(k / GROUP)] as number;
      values[at] = level * fround(scale * (factorOf[c] as number));
    }
  }
  return values;
}

/** The largest size of all; NaN or infinite when one of them is. */
function absmax(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** The code of one number in a group with this scale. */
function codeOf(dtype: "i4" | "nf4", value: number, scale: number): number {
  if (!(scale > 0)) return dtype === "i4" ? 8 : 7;
  const scaled = fround(value / scale);
  if (dtype === "i4") return nearestWhole(scaled, -8, 7) + 8;
  return borders.reduce((code, border) => code + (scaled > border ? 1 : 0), 0);
}

function nearestWhole(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, roundToEven(value)));
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && Math.abs(below % 2) === 1) ? below + 1 : below;
}
