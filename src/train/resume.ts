// Whether a checkpoint belongs to the run that wants to go on from it. Next to read: checkpoint.ts.

import type { Model } from "../model/index.js";
import type { Checkpoint } from "./checkpoint.js";
import { type ResolvedOptions, shown } from "./options.js";

/** Options that may differ between the parts of a run: they change no number of it. */
const free: readonly (keyof ResolvedOptions)[] = [
  "outputFolder",
  "overwrite",
  "evalSteps",
  "saveSteps",
  "saveTotalLimit",
  "samplePrompts",
  "sampleSteps",
  "sampleTokens",
  "gradientCheckpointing",
  "memoryBudget",
];

/** What a run is told by: its options and its model. */
export function comparable(options: ResolvedOptions, model: Model): Readonly<Record<string, unknown>> {
  const { name, dtype, quantize, device, trained } = model;
  return { ...options, model: name, dtype, quantize, device: device.name, trainedParameters: trained?.parameterCount };
}

/** Rows that went through the model at once when a checkpoint was written; runs of before there was a choice took the batch. */
export function dividedBy({ state }: Pick<Checkpoint, "state">): number | undefined {
  return (state.options.microBatchSize ?? state.options.batchSize) as number | undefined;
}

/**
 * @throws RangeError naming what is different: going on would not give what the uninterrupted run gives.
 */
export function checkResumable(
  { folder, state }: Checkpoint,
  now: Readonly<Record<string, unknown>>,
  data: string,
): void {
  for (const [name, value] of Object.entries(now)) {
    if ((free as readonly string[]).includes(name)) continue;
    const before = name === "microBatchSize" ? dividedBy({ state }) : state.options[name];
    if (JSON.stringify(before) === JSON.stringify(value)) continue;
    throw new RangeError(
      `train: cannot go on from ${folder}: \`${name}\` was ${shown(before)} and is now ${shown(value)}; ` +
        "use the same value, or start a new run from the saved adapter",
    );
  }
  if (state.data !== data) {
    throw new RangeError(
      `train: cannot go on from ${folder}: the rows or their tokens are not those it was trained on; start a new run from the saved adapter`,
    );
  }
}
