// Frozen weights as numbers, read back from the device. Used by full.ts and merge.ts.

import { setImmediate } from "node:timers/promises";
import { bytesOf, elementBytes, type FloatDType, sizeOf } from "../engine/dtype.js";
import { dequantize, isQuantized } from "../engine/quantized.js";
import type { Model } from "../model/index.js";
import { convert, storedAs } from "../model/weights/index.js";

/** Numbers converted between two turns of the event loop. */
const PIECE = 1 << 18;

/** A frozen tensor as f32, a quantised one as the numbers its codes stand for. */
export async function readWeight({ weights }: Model, name: string): Promise<Float32Array> {
  const place = weights.placements.get(name);
  if (!place) throw new RangeError(`no weight is named "${name}"`);
  const { offset, dtype, shape } = place;
  const values = new Float32Array(sizeOf(shape));
  if (isQuantized(dtype)) {
    const coded = await weights.arena.read(offset, bytesOf(dtype, shape));
    const [rows, columns] = shape as [number, number];
    const some = Math.max(1, Math.floor(PIECE / columns));
    for (let first = 0; first < rows; first += some) {
      const end = Math.min(rows, first + some);
      values.set(dequantize(coded, dtype, shape, { first, end }), first * columns);
      await setImmediate();
    }
    return values;
  }
  const size = elementBytes[dtype];
  for (let at = 0; at < values.length; at += PIECE) {
    const count = Math.min(PIECE, values.length - at);
    const stored = await weights.arena.read(offset + at * size, count * size);
    const bytes = convert(stored, storedAs[dtype as FloatDType], "f32") as Uint8Array;
    values.set(new Float32Array(bytes.buffer, bytes.byteOffset, count), at);
    await setImmediate();
  }
  return values;
}
