// Finds where a number that is not finite came from, so that a run that fails says what to look at.

import { setImmediate } from "node:timers/promises";
import { elementBytes, sizeOf } from "../engine/dtype.js";
import { isQuantized, quantizedLayout } from "../engine/quantized.js";
import { convert, type Model, storedAs } from "../model/index.js";
import type { Batch } from "../tokens/index.js";
import { type BadResult, firstBadResult } from "./bad-result.js";
import { firstNonFinite } from "./finite.js";
import { bucketKey, writeBatch } from "./programs.js";
import type { Stepper } from "./step.js";

/** Bytes of weights looked at between two turns of the event loop. */
const PIECE_BYTES = 1 << 20;

/**
 * A sentence naming the first trained tensor, frozen weight, result of the forward pass or gradient that holds a number which is not
 * finite, in this order, or the rows of the update where there is none.
 *
 * @param lossIsFinite - Then the forward pass is not searched.
 */
export async function diagnose(
  model: Model,
  stepper: Stepper,
  batches: readonly Batch[],
  lossIsFinite: boolean,
): Promise<string> {
  for (const { name } of model.trained?.list ?? []) {
    const values = await model.trained?.read(name);
    const at = values && firstNonFinite(values);
    if (at !== undefined)
      return `trained tensor "${name}" holds ${values?.[at]} at ${at}; a lower learningRate may help`;
    await setImmediate();
  }
  const weight = await findInWeights(model);
  if (weight) return `${weight}; load the model from a sound file`;
  const result = lossIsFinite ? undefined : await findInForward(stepper, batches);
  if (result) return result;
  const norms = await stepper.norms();
  const bad = norms.findIndex((norm) => !Number.isFinite(norm));
  const rows = `rows ${batches.flatMap((batch) => batch.rows).join(", ")}`;
  const gradient = model.trained?.list[bad]?.name;
  return gradient === undefined
    ? `no tensor or gradient is at fault, so look at ${rows}`
    : `the gradient of "${gradient}" is the first that is not finite, on ${rows}; a lower learningRate may help`;
}

/** Searches the pass of each batch, without dropout where that was planned, then as it is trained. */
async function findInForward(stepper: Stepper, batches: readonly Batch[]): Promise<string | undefined> {
  const { plan, arenas, model } = stepper;
  for (const batch of batches) {
    for (const programs of [plan.loss.tuned, plan.accumulate]) {
      const planned = programs.get(bucketKey(batch));
      if (!planned) continue;
      await writeBatch(arenas.io, planned, batch);
      const found = await firstBadResult(model.device, planned.program, arenas);
      if (found) return describeResult(model, found, batch);
    }
  }
  return undefined;
}

/** Which op, on which rows, and what to do about it: f16 ends where bf16 does not. */
function describeResult({ dtype, config }: Model, { op, value, at, shape }: BadResult, { rows }: Batch): string {
  const what = `the first result that is not finite is that of ${op}: ${value} at ${at} of [${shape.join(", ")}], on rows ${rows.join(", ")}`;
  if (dtype !== "f16") return `${what}; weights and trained tensors are finite, so a lower learningRate may help`;
  return (
    `${what}; weights and trained tensors are finite, so activations of this ${config.family} overflow f16, which ends at 65504; ` +
    'load the model with `dtype: "bf16"`, which has the range of f32'
  );
}

async function findInWeights(model: Model): Promise<string | undefined> {
  const { arena, placements } = model.weights;
  for (const [name, { offset, dtype, shape }] of placements) {
    if (dtype === "i32") continue;
    if (isQuantized(dtype)) {
      const { scales, rows } = quantizedLayout(dtype, shape);
      const stored = (await arena.read(offset + scales, 4 * rows)).slice();
      const row = firstNonFinite(new Float32Array(stored.buffer));
      if (row !== undefined)
        return `base weight "${name}" was quantised from numbers that are not finite, in row ${row}`;
      continue;
    }
    const bytes = sizeOf(shape) * elementBytes[dtype];
    for (let from = 0; from < bytes; from += PIECE_BYTES) {
      const stored = await arena.read(offset + from, Math.min(PIECE_BYTES, bytes - from));
      const data = convert(stored, storedAs[dtype], "f32") as Uint8Array;
      const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
      const at = firstNonFinite(values);
      if (at !== undefined) return `base weight "${name}" holds ${values[at]} at ${from / elementBytes[dtype] + at}`;
      await setImmediate();
    }
  }
  return undefined;
}
