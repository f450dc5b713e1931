// Everything a run will allocate, to the byte, before it allocates anything. Next to read: step.ts, which allocates exactly this.

import { setImmediate } from "node:timers/promises";
import { type Arena, type Category, categories, type Device, type Program, totalBytes } from "../engine/index.js";
import type { PlannedProgram } from "../graph/index.js";
import type { Model } from "../model/index.js";
import { fitBudget, type LayerChoice } from "./budget.js";
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
  /** What of each layer is computed again in the backward, by layer; empty when all values are kept. */
  readonly recompute: readonly LayerChoice[];
}

export interface RunBuckets {
  /** Shapes that batches of the training rows can have. */
  readonly train: readonly Bucket[];
  /** Shapes that batches of the validation rows can have. */
  readonly validation: readonly Bucket[];
  /** Shape of the batch that the run is checked with before its first update. */
  readonly first: Bucket;
}

/**
 * Plan all Programs of a run. Gives other work a turn between two of them.
 *
 * @param beside - Bytes that are taken while the run lasts and count towards `memoryBudget`, such as those of sampling.
 * @throws RangeError when nothing of the model trains, or `memoryBudget` is too small, with what would fit.
 */
export async function planRun(
  model: Model,
  options: ResolvedOptions,
  buckets: RunBuckets,
  beside?: MemoryBytes,
): Promise<RunPlan> {
  const { trained } = model;
  if (!trained) throw new RangeError(`train: nothing of "${model.name}" trains; attach an adapter or train it fully`);
  const layout = runLayout(trained.list);
  const each = async (
    list: readonly Bucket[],
    of: Model,
    gradients: boolean,
    recompute: readonly LayerChoice[] = [],
  ) => {
    const planned = new Map<string, PlannedProgram>();
    for (const bucket of list) {
      if (planned.has(bucketKey(bucket))) continue;
      planned.set(bucketKey(bucket), await lossProgram(of, bucket, layout, { gradients, recompute }));
      await setImmediate();
    }
    return planned;
  };
  const loss = {
    tuned: await each([buckets.first, ...buckets.validation], model, false),
    base: await each([buckets.first], model.base, false),
  };
  const clear = clearProgram(model, layout);
  const update = updateProgram(model, layout, options);
  const squares = squaresProgram(model, layout);
  const programsOf = (map: ReadonlyMap<string, PlannedProgram>) => [...map.values()].map(({ program }) => program);
  const others = [...programsOf(loss.tuned), ...programsOf(loss.base), clear, update, squares];
  const bytesWith = (programs: readonly Program[]): MemoryBytes => ({
    ...largest([...programs, ...others]),
    weights: model.weights.bytes,
    trained: trained.bytes,
    gradients: layout.gradients.bytes,
    optimizer: layout.optimizer.bytes,
  });
  const totalWith = (programs: readonly Program[]) => totalBytes(bytesWith(programs)) + totalBytes(beside ?? {});
  const recompute = await chooseRecompute(model, options, buckets.train, {
    program: async (bucket, choices) =>
      (await lossProgram(model, bucket, layout, { gradients: true, recompute: choices })).program,
    bytes: (program) => totalWith([program]),
  });
  const accumulate = await each(buckets.train, model, true, recompute);
  const bytes = bytesWith(programsOf(accumulate));
  return { layout, accumulate, loss, clear, update, squares, bytes, recompute };
}

interface Trial {
  program(bucket: Bucket, choices: readonly LayerChoice[]): Promise<Program>;
  bytes(program: Program): number;
}

/** What of each layer is computed again: everything, nothing, or as much as the budget makes necessary for the largest batch. */
async function chooseRecompute(
  model: Model,
  { gradientCheckpointing, memoryBudget, batchSize, gradientAccumulationSteps }: ResolvedOptions,
  buckets: readonly Bucket[],
  { program, bytes }: Trial,
): Promise<readonly LayerChoice[]> {
  const { layers } = model.config;
  const whole = new Array<LayerChoice>(layers).fill("layer");
  if (gradientCheckpointing) return whole;
  if (memoryBudget === undefined) return [];
  const widest = buckets.reduce((a, b) => (b.batch * b.seq > a.batch * a.seq ? b : a));
  const answer = await fitBudget({
    layers,
    budget: memoryBudget,
    program: (choices) => program(widest, choices),
    bytes,
  });
  if (!("least" in answer)) return answer;
  const megabytes = (count: number) => `${(count / 1e6).toFixed(1)} MB`;
  const least = `train: \`memoryBudget\` of ${megabytes(memoryBudget)} is too small: with every layer computed again the run takes ${megabytes(answer.least)}`;
  for (let rows = batchSize - 1; rows >= 1; rows--) {
    const smaller = bytes(await program({ ...widest, batch: rows }, whole));
    if (smaller > memoryBudget) continue;
    const steps = Math.ceil(batchSize / rows) * gradientAccumulationSteps;
    throw new RangeError(`${least}; \`batchSize: ${rows}\` with \`gradientAccumulationSteps: ${steps}\` would fit`);
  }
  throw new RangeError(`${least}; no batchSize fits: take a smaller maxTokens, rank or model`);
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
