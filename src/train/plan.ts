// Everything a run will allocate, to the byte, before it allocates anything. Next to read: fit.ts, which fits it into a budget; then
// step.ts, which allocates exactly this.

import { setImmediate } from "node:timers/promises";
import { type Arena, type Category, categories, type Device, type Program, totalBytes } from "../engine/index.js";
import type { PlannedProgram } from "../graph/index.js";
import type { Model } from "../model/index.js";
import type { MemoryBytes } from "./events.js";
import { type Layer, type LayerChoice, layersOf, scopesOf } from "./layers.js";
import type { CountedBucket } from "./microbatch.js";
import type { ResolvedOptions } from "./options.js";
import {
  type Bucket,
  bucketKey,
  clearProgram,
  lossProgram,
  type RunLayout,
  runLayout,
  squaresProgram,
  traceLoss,
  updateProgram,
} from "./programs.js";

export interface RunPlan {
  readonly layout: RunLayout;
  /** Rows that go through the model at once. */
  readonly microBatch: number;
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
  /** What of each layer is computed again in the backward, layer by layer, for each bucketKey of `accumulate`. */
  readonly recompute: ReadonlyMap<string, readonly LayerChoice[]>;
}

export interface RunBuckets {
  /** Shapes that batches of the training rows can have, and how often an epoch has each. */
  readonly train: readonly (Bucket & Partial<CountedBucket>)[];
  /** Shapes that batches of the validation rows can have. */
  readonly validation: readonly Bucket[];
  /** Shape of the batch that the run is checked with before its first update. */
  readonly first: Bucket;
}

/** The shapes of a run for each number of rows that may go through the model at once. */
export interface RunShapes {
  /** Rows of one update. */
  readonly rowsPerUpdate: number;
  at(microBatch: number): RunBuckets;
}

/** Plans Programs of one run, each shape and choice once. Gives other work a turn every few milliseconds. */
export class RunPlanner {
  readonly layout: RunLayout;
  readonly #flat: Pick<RunPlan, "clear" | "update" | "squares">;
  readonly #gradients = new Map<string, Promise<PlannedProgram>>();
  readonly #losses = {
    tuned: new Map<string, Promise<PlannedProgram>>(),
    base: new Map<string, Promise<PlannedProgram>>(),
  };
  #layers: readonly Layer[] | undefined;

  /**
   * @param beside - Bytes that are taken while the run lasts and count towards its budget, such as those of sampling.
   * @throws RangeError when nothing of the model trains.
   */
  constructor(
    readonly model: Model,
    readonly options: ResolvedOptions,
    readonly beside?: MemoryBytes,
  ) {
    const { trained } = model;
    if (!trained) throw new RangeError(`train: nothing of "${model.name}" trains; attach an adapter or train it fully`);
    this.layout = runLayout(trained.list);
    this.#flat = {
      clear: clearProgram(model, this.layout),
      update: updateProgram(model, this.layout, options),
      squares: squaresProgram(model, this.layout),
    };
  }

  /** Bytes that no choice changes: weights, what trains, its gradients and moments, and what stands beside. */
  get fixed(): number {
    const { weights, trained, gradients, optimizer } = this.bytesOf([]);
    return weights + trained + gradients + optimizer + totalBytes(this.beside ?? {});
  }

  /** The layers of the model, as the trace of a batch shows them. */
  layers(bucket: Bucket): readonly Layer[] {
    this.#layers ??= layersOf(traceLoss(this.model, bucket, { gradients: true, recompute: new Set() }).trace);
    return this.#layers;
  }

  /** Gradients of a batch with these choices, layer by layer. */
  gradients(bucket: Bucket, choices: readonly LayerChoice[]): Promise<PlannedProgram> {
    // Everything kept is the same Program whether it was spelt out or left out.
    const again = choices.some((choice) => choice !== "keep") ? choices : [];
    const key = `${bucketKey(bucket)} ${again.join()}`;
    const known = this.#gradients.get(key);
    if (known) return known;
    const recompute = again.length > 0 ? scopesOf(this.layers(bucket), again) : new Set<string>();
    const planned = lossProgram(this.model, bucket, this.layout, { gradients: true, recompute });
    this.#gradients.set(key, planned);
    return planned;
  }

  /** The loss alone of some batches. */
  async losses(buckets: readonly Bucket[], of: "tuned" | "base"): Promise<ReadonlyMap<string, PlannedProgram>> {
    const model = of === "tuned" ? this.model : this.model.base;
    const planned = new Map<string, PlannedProgram>();
    for (const bucket of buckets) {
      const key = bucketKey(bucket);
      let program = this.#losses[of].get(key);
      program ??= lossProgram(model, bucket, this.layout, { gradients: false });
      this.#losses[of].set(key, program);
      planned.set(key, await program);
      await setImmediate();
    }
    return planned;
  }

  /** Everything but the gradients. */
  async others(buckets: RunBuckets): Promise<Pick<RunPlan, "loss" | "clear" | "update" | "squares">> {
    const tuned = await this.losses([buckets.first, ...buckets.validation], "tuned");
    return { loss: { tuned, base: await this.losses([buckets.first], "base") }, ...this.#flat };
  }

  /** The run with these choices for each of its training shapes. */
  async plan(buckets: RunBuckets, choose: (bucket: Bucket) => readonly LayerChoice[]): Promise<RunPlan> {
    const others = await this.others(buckets);
    const accumulate = new Map<string, PlannedProgram>();
    const recompute = new Map<string, readonly LayerChoice[]>();
    for (const bucket of buckets.train) {
      const choices = choose(bucket);
      recompute.set(bucketKey(bucket), choices);
      accumulate.set(bucketKey(bucket), await this.gradients(bucket, choices));
    }
    const bytes = this.bytesOf([...programsOf(accumulate), ...otherPrograms(others)]);
    const microBatch = buckets.train[0]?.batch ?? buckets.first.batch;
    return { layout: this.layout, microBatch, accumulate, ...others, bytes, recompute };
  }

  /** Bytes of a run that has these Programs, without what stands beside. */
  bytesOf(programs: readonly Program[]): MemoryBytes {
    const { model, layout } = this;
    return {
      ...largest(programs),
      weights: model.weights.bytes,
      trained: model.trained?.bytes ?? 0,
      gradients: layout.gradients.bytes,
      optimizer: layout.optimizer.bytes,
    };
  }
}

export function programsOf(planned: ReadonlyMap<string, PlannedProgram>): readonly Program[] {
  return [...planned.values()].map(({ program }) => program);
}

export function otherPrograms({ loss, clear, update, squares }: Awaited<ReturnType<RunPlanner["others"]>>) {
  return [...programsOf(loss.tuned), ...programsOf(loss.base), clear, update, squares];
}

/**
 * Plan all Programs of a run for batches of these shapes: every layer computed again, or none, as `gradientCheckpointing` says. See fit.ts
 * for runs with a budget.
 *
 * @throws RangeError when nothing of the model trains.
 */
export async function planRun(model: Model, options: ResolvedOptions, buckets: RunBuckets): Promise<RunPlan> {
  const planner = new RunPlanner(model, options);
  return planner.plan(buckets, (bucket) =>
    options.gradientCheckpointing ? planner.layers(bucket).map(() => "layer") : [],
  );
}

/** Bytes that hold any of the Programs, category by category. */
export function largest(programs: readonly Pick<Program, "arenaBytes">[]): MemoryBytes {
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
