// Everything a run will allocate, to the byte, before it allocates anything. Next to read: step.ts, which allocates exactly this.

import { setImmediate } from "node:timers/promises";
import { type Arena, type Category, categories, type Device, type Program } from "../engine/index.js";
import type { PlannedProgram } from "../graph/index.js";
import type { Model } from "../model/index.js";
import type { MemoryBytes } from "./events.js";
import type { ResolvedOptions } from "./options.js";
import {
  type Bucket,
  bucketKey,
  clearProgram,
  lossProgram,
  type RunLayout,
  runLayout,
  squaresProgram,
  updateProgram,
} from "./programs.js";

export interface RunPlan {
  readonly layout: RunLayout;
  /** Gradients of a batch, by bucketKey. */
  readonly accumulate: ReadonlyMap<string, PlannedProgram>;
  /** Loss alone of the tuned model, and of the base, by bucketKey. */
  readonly loss: {
    readonly tuned: ReadonlyMap<string, PlannedProgram>;
    readonly base: ReadonlyMap<string, PlannedProgram>;
  };
  readonly clear: Program;
  readonly update: Program;
  readonly squares: Program;
  /** Of the whole run, with the model's weights and what trains of it. */
  readonly bytes: MemoryBytes;
}

export interface RunBuckets {
  /** Shapes that batches of the training rows can have. */
  readonly train: readonly Bucket[];
  /** Shapes that batches of the validation rows can have. */
  readonly validation: readonly Bucket[];
  /** Shape of the batch that the run is checked with before its first update. */
  readonly first: Bucket;
}

/** Plan all Programs of a run. Gives other work a turn between two of them. @throws RangeError when nothing of the model trains. */
export async function planRun(model: Model, options: ResolvedOptions, buckets: RunBuckets): Promise<RunPlan> {
  const { trained } = model;
  if (!trained) throw new RangeError(`train: nothing of "${model.name}" trains; attach an adapter or train it fully`);
  const layout = runLayout(trained.list);
  const each = async (list: readonly Bucket[], of: Model, gradients: boolean) => {
    const planned = new Map<string, PlannedProgram>();
    for (const bucket of list) {
      if (planned.has(bucketKey(bucket))) continue;
      const choice = { gradients, recompute: options.gradientCheckpointing };
      planned.set(bucketKey(bucket), await lossProgram(of, bucket, layout, choice));
      await setImmediate();
    }
    return planned;
  };
  const accumulate = await each(buckets.train, model, true);
  const loss = {
    tuned: await each([buckets.first, ...buckets.validation], model, false),
    base: await each([buckets.first], model.base, false),
  };
  const clear = clearProgram(model, layout);
  const update = updateProgram(model, layout, options);
  const squares = squaresProgram(model, layout);
  const batched = [accumulate, loss.tuned, loss.base].flatMap((map) => [...map.values()].map(({ program }) => program));
  const bytes = {
    ...largest([...batched, clear, update, squares]),
    weights: model.weights.bytes,
    trained: trained.bytes,
    gradients: layout.gradients.bytes,
    optimizer: layout.optimizer.bytes,
  };
  return { layout, accumulate, loss, clear, update, squares, bytes };
}

/** Bytes that hold any of the Programs, category by category. */
export function largest(programs: readonly Program[]): MemoryBytes {
  const entries = categories.map((category) => [
    category,
    Math.max(0, ...programs.map(({ arenaBytes }) => arenaBytes[category])),
  ]);
  return Object.fromEntries(entries) as MemoryBytes;
}

export function addBytes(a: MemoryBytes, b: MemoryBytes): MemoryBytes {
  return Object.fromEntries(categories.map((category) => [category, a[category] + b[category]])) as MemoryBytes;
}

/** Allocate some categories of a plan. @throws EngineError when one cannot be had; the others are freed then. */
export function allocateArenas<C extends Category>(
  device: Device,
  bytes: MemoryBytes,
  wanted: readonly C[],
): { readonly arenas: Readonly<Record<C, Arena>>; free(): void } {
  const arenas = new Map<C, Arena>();
  const free = () => {
    for (const arena of arenas.values()) arena.free();
  };
  try {
    for (const category of wanted) arenas.set(category, device.allocate(category, bytes[category]));
  } catch (error) {
    free();
    throw error;
  }
  return { arenas: Object.fromEntries(arenas) as Record<C, Arena>, free };
}
