// Why a run cannot be fitted into a budget, and what of it could. Asked by fit.ts once everything was tried.

import { totalBytes } from "../engine/index.js";
import type { MemoryBytes } from "./events.js";
import type { LayerChoice } from "./layers.js";
import { paddedTokens, SEQ_MULTIPLE } from "./microbatch.js";
import type { RunBuckets, RunPlanner } from "./plan.js";
import { type Bucket, widest } from "./programs.js";

/** What a run takes at least, and what would fit. */
export interface Shortfall {
  /** The run with every layer computed again, and as few rows at once as there may be. */
  readonly least: MemoryBytes;
  /** Options that would fit, each by itself, in words for people; empty when none is known. */
  readonly would: readonly string[];
}

/** @param buckets - Shapes of the fewest rows at once. */
export async function shortfallOf(planner: RunPlanner, budget: number, buckets: RunBuckets): Promise<Shortfall> {
  const total = (bytes: MemoryBytes) => totalBytes(bytes) + totalBytes(planner.beside ?? {});
  const whole = (bucket: Bucket) => planner.layers(bucket).map((): LayerChoice => "layer");
  const leastOf = async (shapes: RunBuckets) => (await planner.plan(shapes, whole)).bytes;
  const least = await leastOf(buckets);
  const would: string[] = [];
  if (planner.fixed > budget) return { least, would };

  const beside = totalBytes(planner.beside ?? {});
  if (beside > 0 && totalBytes(least) <= budget) would.push("no `samplePrompts`, or shorter ones");
  if (buckets.validation.length > 0 && total(await leastOf({ ...buckets, validation: [] })) <= budget)
    would.push("shorter `validation` rows");
  const largest = widest(buckets.train);
  if (largest.batch > 1) {
    const rows = await most(
      largest.batch - 1,
      async (batch) => total(await leastOf(only({ ...largest, batch }))) <= budget,
    );
    if (rows > 0) would.push(`\`microBatchSize: ${rows}\``);
  }
  const steps = Math.ceil(largest.seq / SEQ_MULTIPLE) - 1;
  const shortest = await most(steps, async (step) => {
    const seq = paddedTokens(step * SEQ_MULTIPLE, planner.options.maxTokens);
    return total(await leastOf(only({ batch: largest.batch, seq }))) <= budget;
  });
  if (shortest > 0) would.push(`\`maxTokens: ${shortest * SEQ_MULTIPLE}\``);
  return { least, would };
}

/** @returns the error, for the caller to throw. */
export async function refuseBudget(planner: RunPlanner, budget: number, buckets: RunBuckets): Promise<RangeError> {
  const { least, would } = await shortfallOf(planner, budget, buckets);
  const small = `train: \`memoryBudget\` of ${megabytes(budget)} is too small`;
  const { weights, trained, gradients, optimizer } = least;
  if (planner.fixed > budget) {
    return new RangeError(
      `${small}: the weights (${megabytes(weights)}), what trains with its gradients and moments (${megabytes(trained + gradients + optimizer)})${besideWords(planner)} alone take ${megabytes(planner.fixed)}; take a smaller model, dtype or rank`,
    );
  }
  const { batch, seq } = buckets.train.reduce((a, b) => (b.seq > a.seq ? b : a));
  const rows = batch === 1 ? "one row" : `${batch} rows`;
  const taken = megabytes(totalBytes(least) + totalBytes(planner.beside ?? {}));
  const needs = `with every layer computed again and ${rows} of ${seq} tokens at once the run takes ${taken}${besideWords(planner)}`;
  const next =
    would.length > 0 ? `${would.join(", or ")} would fit` : "nothing shorter fits: take a smaller model, dtype or rank";
  return new RangeError(`${small}: ${needs}; ${next}`);
}

function besideWords({ beside }: RunPlanner): string {
  const bytes = totalBytes(beside ?? {});
  return bytes > 0 ? `, with ${megabytes(bytes)} for sampling` : "";
}

/** A run with one shape of batch, and no evaluation. */
function only(bucket: Bucket): RunBuckets {
  return { train: [bucket], validation: [], first: bucket };
}

/** The most of 1 to `count` that passes, of numbers that pass up to one and fail after it; 0 when none does. Tried by halving. */
async function most(count: number, passes: (value: number) => Promise<boolean>): Promise<number> {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (await passes(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Bytes as errors about a budget say them. */
export function megabytes(count: number): string {
  return `${(count / 1e6).toFixed(1)} MB`;
}
