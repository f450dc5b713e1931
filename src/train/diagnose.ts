// Finds where a number that is not finite came from, so that a run that fails says what to look at.

import { setImmediate } from "node:timers/promises";
import { bytesOf, sizeOf } from "../engine/dtype.js";
import { convert, type Model, storedAs } from "../model/index.js";
import type { Batch } from "../tokens/index.js";
import { firstNonFinite } from "./finite.js";
import type { Stepper } from "./step.js";

/** Bytes of weights looked at between two turns of the event loop. */
const PIECE_BYTES = 1 << 20;

/**
 * A sentence naming the first trained tensor, frozen weight or gradient that holds a number which is not finite, in this order,
 * or the rows of the update where there is none.
 */
export async function diagnose(model: Model, stepper: Stepper, batches: readonly Batch[]): Promise<string> {
  for (const { name } of model.trained?.list ?? []) {
    const values = await model.trained?.read(name);
    const at = values && firstNonFinite(values);
    if (at !== undefined)
      return `trained tensor "${name}" holds ${values?.[at]} at ${at}; a lower learningRate may help`;
    await setImmediate();
  }
  const weight = await findInWeights(model);
  if (weight) return `${weight}; load the model from a sound file`;
  const norms = await stepper.norms();
  const bad = norms.findIndex((norm) => !Number.isFinite(norm));
  const rows = `rows ${batches.flatMap((batch) => batch.rows).join(", ")}`;
  const gradient = model.trained?.list[bad]?.name;
  return gradient === undefined
    ? `no tensor or gradient is at fault, so look at ${rows}`
    : `the gradient of "${gradient}" is the first that is not finite, on ${rows}; a lower learningRate may help`;
}

async function findInWeights(model: Model): Promise<string | undefined> {
  const { arena, placements } = model.weights;
  for (const [name, { offset, dtype, shape }] of placements) {
    if (dtype === "i32") continue;
    const bytes = sizeOf(shape) * bytesOf[dtype];
    for (let from = 0; from < bytes; from += PIECE_BYTES) {
      const stored = await arena.read(offset + from, Math.min(PIECE_BYTES, bytes - from));
      const data = convert(stored, storedAs[dtype], "f32") as Uint8Array;
      const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
      const at = firstNonFinite(values);
      if (at !== undefined) return `base weight "${name}" holds ${values[at]} at ${from / bytesOf[dtype] + at}`;
      await setImmediate();
    }
  }
  return undefined;
}
