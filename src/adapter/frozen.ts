// Frozen weights as numbers, read back from the device. Used by full.ts and merge.ts.

import { setImmediate } from "node:timers/promises";
import { bytesOf, sizeOf } from "../engine/dtype.js";
import type { ComputeDType, Model } from "../model/index.js";
import { convert, storedAs } from "../model/weights/index.js";

/** Numbers converted between two turns of the event loop. */
const PIECE = 1 << 18;

/** A frozen tensor as f32. */
export async function readWeight({ weights }: Model, name: string): Promise<Float32Array> {
  const place = weights.placements.get(name);
  if (!place) throw new RangeError(`no weight is named "${name}"`);
  const { offset, dtype, shape } = place;
  const values = new Float32Array(sizeOf(shape));
  for (let at = 0; at < values.length; at += PIECE) {
    const count = Math.min(PIECE, values.length - at);
    const stored = await weights.arena.read(offset + at * bytesOf[dtype], count * bytesOf[dtype]);
    const bytes = convert(stored, storedAs[dtype as ComputeDType], "f32") as Uint8Array;
    values.set(new Float32Array(bytes.buffer, bytes.byteOffset, count), at);
    await setImmediate();
  }
  return values;
}
