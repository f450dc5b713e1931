// The fastest run within a budget: how many rows go through the model at once, and what each shape of batch computes again. Estimates
// from a few plans rank what could be done; what is answered has been planned to the byte. Next to read: budget.ts, the arithmetic.

import { setImmediate } from "node:timers/promises";
import { type Category, categories, type Device, type Program, totalBytes } from "../engine/index.js";
import { flopsOf } from "../meter/index.js";
import type { Model } from "../model/index.js";
import { choicesOf, firstThatFits, type LayerKind, type Mixture, mixtures, type Saving } from "./budget.js";
import type { MemoryBytes } from "./events.js";
import type { LayerChoice } from "./layers.js";
import { microBatches } from "./microbatch.js";
import type { ResolvedOptions } from "./options.js";
import { largest, otherPrograms, planRun, type RunBuckets, type RunPlan, RunPlanner, type RunShapes } from "./plan.js";
import { type Bucket, bucketKey, tokensOf, widest } from "./programs.js";
import { refuseBudget } from "./refuse.js";

/** A plan, and what its epoch costs in the device's own unit of time. */
export interface TimedPlan {
  readonly plan: RunPlan;
  readonly time: number;
}

/** What a batch costs with all values kept, and what each mixture of choices changes of that. */
interface Profile {
  readonly bucket: Bucket;
  readonly kinds: readonly LayerKind[];
  readonly mixtures: readonly Mixture[];
  readonly arenaBytes: Program["arenaBytes"];
  readonly flops: { readonly attention: number; readonly other: number };
}

/**
 * Plan a run: with `memoryBudget` the fastest one within it, else as the options say.
 *
 * @param beside - Bytes that are taken while the run lasts and count towards the budget, such as those of sampling.
 * @throws RangeError when nothing of the model trains, or the budget is too small, with what would fit.
 */
export async function planFastest(
  model: Model,
  options: ResolvedOptions,
  shapes: RunShapes,
  beside?: MemoryBytes,
): Promise<RunPlan> {
  const { memoryBudget, batchSize, microBatchSize } = options;
  if (memoryBudget === undefined) return planRun(model, options, shapes.at(microBatchSize ?? batchSize));
  const planner = new RunPlanner(model, options, beside);
  await setImmediate();
  const sizes = microBatchSize === undefined ? microBatches(shapes.rowsPerUpdate) : [microBatchSize];
  const fastest = await new Fitter(planner, memoryBudget, shapes).fastest(sizes);
  if (!fastest) throw await refuseBudget(planner, memoryBudget, shapes.at(Math.min(...sizes)));
  return fastest.plan;
}

/** Sizes whose plans are compared after the first that fits: estimates are close, so that the best is among them. */
const MOST_PLANS = 3;

export class Fitter {
  #profile: Profile | undefined;

  constructor(
    readonly planner: RunPlanner,
    readonly budget: number,
    readonly shapes: RunShapes,
  ) {}

  /** The fastest plan that fits, with one of these numbers of rows at once; undefined when the smallest fits in no way. */
  async fastest(sizes: readonly number[]): Promise<TimedPlan | undefined> {
    const ranked: { readonly size: number; readonly time: number }[] = [];
    for (const size of sizes) {
      const time = sizes.length === 1 ? 0 : await this.#estimateTime(this.shapes.at(size));
      if (time !== undefined) ranked.push({ size, time: Number(time.toPrecision(6)) });
    }
    // More rows at once where the time is the same.
    ranked.sort((a, b) => a.time - b.time || b.size - a.size);
    let best: TimedPlan | undefined;
    let plans = 0;
    for (const { size, time } of ranked) {
      if (best && (best.time <= time || plans >= MOST_PLANS)) break;
      const fitted = await this.fit(this.shapes.at(size));
      if (!fitted) continue;
      plans += 1;
      if (!best || fitted.time < best.time) best = fitted;
    }
    const least = Math.min(...sizes);
    if (best || ranked.some(({ size }) => size === least)) return best;
    return this.fit(this.shapes.at(least));
  }

  /** The fastest choices for batches of these shapes; undefined when nothing fits. Every shape is planned to the byte. */
  async fit(buckets: RunBuckets): Promise<TimedPlan | undefined> {
    const others = otherPrograms(await this.planner.others(buckets));
    let floor = largest(others);
    // A later shape may need more scratch than an earlier one left: then all are fitted once more, beside that much.
    for (let round = 0; round < 3; round++) {
      const choices = new Map<string, readonly LayerChoice[]>();
      for (const bucket of [...buckets.train].sort((a, b) => tokensOf(b) - tokensOf(a))) {
        const found = await this.#choose(bucket, floor);
        if (!found) return undefined;
        choices.set(bucketKey(bucket), found);
        const { program } = await this.planner.gradients(bucket, found);
        floor = { ...largest([program, { arenaBytes: floor }]), activations: floor.activations };
      }
      const plan = await this.planner.plan(buckets, (bucket) => choices.get(bucketKey(bucket)) ?? []);
      if (totalBytes(plan.bytes) + totalBytes(this.planner.beside ?? {}) <= this.budget)
        return { plan, time: timeOf(plan, buckets, this.planner.model.device) };
    }
    return undefined;
  }

  /** Choices for one shape, beside what all others need of each category. */
  async #choose(bucket: Bucket, floor: MemoryBytes): Promise<readonly LayerChoice[] | undefined> {
    const { planner } = this;
    const profile = await this.#profiled();
    const layers = planner.layers(bucket).length;
    const limit = this.budget - planner.fixed - ownBytes({ ...floor, activations: 0 });
    if (floor.activations > limit) return undefined;
    const spelt = (at: number) => choicesOf(profile.kinds, profile.mixtures[at] as Mixture, layers);
    const exact = async (choices: readonly LayerChoice[]) => {
      const { arenaBytes } = (await planner.gradients(bucket, choices)).program;
      return ownBytes(largest([{ arenaBytes }, { arenaBytes: floor }])) - ownBytes({ ...floor, activations: 0 });
    };
    const { mixtures } = profile;
    const estimate = (at: number) => activationsOf(profile, mixtures[at] as Mixture, bucket);
    const at = await firstThatFits(mixtures.length, limit, estimate, (i) => exact(spelt(i)));
    if (at !== undefined) return spelt(at);
    for (const last of ["layer", "mlp"] as const) {
      const choices = new Array<LayerChoice>(layers).fill(last);
      if ((await exact(choices)) <= limit) return choices;
    }
    return undefined;
  }

  /** Time of an epoch by the estimates; undefined when no mixture seems to fit. */
  async #estimateTime(buckets: RunBuckets): Promise<number | undefined> {
    const profile = await this.#profiled();
    const rest = ownBytes({ ...profile.arenaBytes, activations: 0 });
    const limit = (this.budget - this.planner.fixed - rest) * (1 + SLACK);
    let time = 0;
    for (const bucket of buckets.train) {
      const mixture = profile.mixtures.find((one) => activationsOf(profile, one, bucket) <= limit);
      if (!mixture) return undefined;
      const part = tokensOf(bucket) / tokensOf(profile.bucket);
      const { attention, other } = profile.flops;
      const flops = part * (other + (attention * bucket.seq) / profile.bucket.seq + mixture.flops);
      time += (bucket.count ?? 1) * timeOfFlops(flops, bucket, this.planner.model.device);
    }
    return time;
  }

  /** Measured on the largest batch of one row, which the others are multiples of. */
  async #profiled(): Promise<Profile> {
    this.#profile ??= await profileOf(this.planner, widest(this.shapes.at(1).train));
    return this.#profile;
  }
}

/** Part of the budget by which an estimate may miss it and still be tried. */
const SLACK = 0.02;

/** Bytes of the categories that Programs have to themselves. */
function ownBytes(bytes: MemoryBytes): number {
  const own: readonly Category[] = ["activations", "workspace", "cache", "io"];
  return categories.reduce((sum, category) => sum + (own.includes(category) ? bytes[category] : 0), 0);
}

/** Activations grow with the tokens of a batch. */
function activationsOf({ arenaBytes, bucket: measured }: Profile, { bytes }: Mixture, bucket: Bucket): number {
  return ((arenaBytes.activations - bytes) * tokensOf(bucket)) / tokensOf(measured);
}

/**
 * What keeping everything costs, and what a layer of each kind saves and repeats. The last layer of a kind is left out where there are
 * more: while it is computed again, its values are there as if they had been kept, so that it saves almost nothing.
 */
async function profileOf(planner: RunPlanner, bucket: Bucket): Promise<Profile> {
  const layers = planner.layers(bucket);
  const kept = (await planner.gradients(bucket, [])).program;
  const flops = flopsOf(kept);
  const saving = async (positions: readonly number[], choice: LayerChoice): Promise<Saving> => {
    const some = positions.slice(0, Math.max(1, positions.length - 1));
    const choices = layers.map((_, at): LayerChoice => (some.includes(at) ? choice : "keep"));
    const { program } = await planner.gradients(bucket, choices);
    return {
      bytes: (kept.arenaBytes.activations - program.arenaBytes.activations) / some.length,
      flops: (flopsOf(program).total - flops.total) / some.length,
    };
  };
  const kinds: LayerKind[] = [];
  await setImmediate();
  for (const kind of new Set(layers.map((layer) => layer.kind))) {
    const positions = layers.flatMap((layer, at) => (layer.kind === kind ? [at] : []));
    const hasMlp = layers[positions[0] as number]?.mlp !== undefined;
    kinds.push({
      layers: positions,
      mlp: hasMlp ? await saving(positions, "mlp") : undefined,
      layer: await saving(positions, "layer"),
    });
  }
  // The only products whose number grows with the square of the tokens of a row.
  const attention = Object.entries(flops.byOp).reduce(
    (sum, [op, own]) => (op.startsWith("attention") ? sum + own : sum),
    0,
  );
  return {
    bucket,
    kinds,
    mixtures: mixtures(kinds),
    arenaBytes: kept.arenaBytes,
    flops: { attention, other: flops.total - attention },
  };
}

/** Time of an epoch's passes, in operations at full speed. */
export function timeOf({ accumulate }: RunPlan, { train }: RunBuckets, device: Pick<Device, "speedAt">): number {
  return train.reduce((sum, bucket) => {
    const { program } = accumulate.get(bucketKey(bucket)) as { readonly program: Program };
    return sum + (bucket.count ?? 1) * timeOfFlops(flopsOf(program).total, bucket, device);
  }, 0);
}

function timeOfFlops(flops: number, bucket: Bucket, device: Pick<Device, "speedAt">): number {
  return flops / (device.speedAt?.(tokensOf(bucket)) ?? 1);
}
