// The base's weights with what was trained put into them, as a model folder. What it says is checked by whoever gives it its name: ../merging.ts.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { elementBytes, sizeOf } from "../engine/dtype.js";
import type { ComputeDType, Model, WeightUpdate } from "../model/index.js";
import { convert, replaceFile, type StoredTensor, storedAs, writeSafetensors } from "../model/weights/index.js";
import { firstNonFinite } from "../train/finite.js";
import { copyCompanions } from "./companions.js";
import { readWeight } from "./frozen.js";
import { AdapterError } from "./peft.js";

export interface MergedOptions {
  /** Dtype of the written weights. @default what the model computes in */
  readonly saveAs?: ComputeDType | undefined;
  /** Most bytes of one file. @default 2 GB */
  readonly shardBytes?: number | undefined;
  /** Told after each tensor how many are merged, and of how many. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Write W + scale B A for every updated matrix, whole tensors where those trained, and the rest as it is. W is the weight as training saw
 * it, read back from the device; sums are f64, rounded once. One shard at a time is in memory.
 *
 * @throws AdapterError when a tensor holds a number that is not finite.
 */
export async function writeMerged(
  model: Model,
  folder: string,
  { saveAs = model.dtype, shardBytes = 2e9, onProgress }: MergedOptions = {},
): Promise<void> {
  const { base, trained } = model;
  if (!trained)
    throw new RangeError(`mergeAdapter: nothing of "${model.name}" trains; load or attach an adapter first`);
  const updates = new Map((trained.options.updates ?? []).map((update) => [update.weight, update]));
  const stored = [...base.weights.specs.values()].filter(({ values }) => values === undefined);
  const shards = split(stored, elementBytes[saveAs], shardBytes);
  await mkdir(folder, { recursive: true });
  const files = shards.map((_, i) => shardName(i, shards.length));
  let done = 0;
  for (const [i, names] of shards.entries()) {
    const file = path.join(folder, files[i] as string);
    const tensors = new Map<string, StoredTensor>();
    for (const name of names) {
      const { shape } = stored.find((spec) => spec.name === name) as (typeof stored)[0];
      const values = trained.find(name) ? await trained.read(name) : await readWeight(base, name);
      const update = updates.get(name);
      if (update) await addUpdate(values, model, update, shape[1] as number);
      const at = firstNonFinite(values);
      if (at !== undefined) throw new AdapterError(file, `not written: tensor "${name}" holds ${values[at]} at ${at}`);
      const data = convert(new Uint8Array(values.buffer), "F32", saveAs) as Uint8Array;
      tensors.set(name, { dtype: storedAs[saveAs], shape, data });
      done += 1;
      onProgress?.(done, stored.length);
    }
    await writeSafetensors(file, tensors, { format: "pt" });
  }
  if (files.length > 1) {
    const weightMap = Object.fromEntries(shards.flatMap((names, i) => names.map((name) => [name, files[i]])));
    const total = stored.reduce((sum, { shape }) => sum + sizeOf(shape) * elementBytes[saveAs], 0);
    const index = { metadata: { total_size: total }, weight_map: weightMap };
    await replaceFile(path.join(folder, "model.safetensors.index.json"), [
      new TextEncoder().encode(`${JSON.stringify(index, undefined, 2)}\n`),
    ]);
  }
  await copyCompanions(base, folder, saveAs);
}

/** values [outputs, inputs] += scale B [outputs, rank] A [rank, inputs], row by row. */
async function addUpdate(
  values: Float32Array,
  { trained }: Model,
  update: WeightUpdate,
  inputs: number,
): Promise<void> {
  const [a, b] = [(await trained?.read(update.a)) as Float32Array, (await trained?.read(update.b)) as Float32Array];
  const rank = a.length / inputs;
  const row = new Float64Array(inputs);
  for (let output = 0; output < values.length / inputs; output++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = update.scale * (b[output * rank + r] as number);
      const from = r * inputs;
      for (let i = 0; i < inputs; i++) (row[i] as number) += factor * (a[from + i] as number);
    }
    const at = output * inputs;
    for (let i = 0; i < inputs; i++) values[at + i] = (values[at + i] as number) + (row[i] as number);
    if (output % 64 === 63) await setImmediate();
  }
}

/** Names of tensors, in order, as many to a shard as fit; one that is larger than a shard has its own. */
function split(
  specs: readonly { readonly name: string; readonly shape: readonly number[] }[],
  width: number,
  most: number,
): readonly (readonly string[])[] {
  const shards: string[][] = [[]];
  let bytes = 0;
  for (const { name, shape } of specs) {
    const own = sizeOf(shape) * width;
    if (bytes > 0 && bytes + own > most) {
      shards.push([]);
      bytes = 0;
    }
    (shards.at(-1) as string[]).push(name);
    bytes += own;
  }
  return shards;
}

function shardName(i: number, count: number): string {
  if (count === 1) return "model.safetensors";
  const number = (n: number) => String(n).padStart(5, "0");
  return `model-${number(i + 1)}-of-${number(count)}.safetensors`;
}
