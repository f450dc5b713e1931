// `tunebook plan MODEL_OR_CONFIG`: the memory of a training run to the byte, from config.json alone, and what fits a budget.

import { statSync } from "node:fs";
import path from "node:path";
import { type Command, Option } from "commander";
import { attachLora, type LoraOptions } from "../adapter/index.js";
import { openDevice } from "../engine/devices.js";
import { categories } from "../engine/index.js";
import { sketchDevice } from "../engine/sketch.js";
import {
  type ComputeDType,
  computeDTypes,
  type LlamaConfig,
  parameterCount,
  readConfig,
  sketchModel,
} from "../model/index.js";
import type { Tokenizer } from "../tokens/index.js";
import type { MemoryBytes } from "../train/events.js";
import { planFastest } from "../train/fit.js";
import { type ResolvedOptions, resolveOptions, trainOptions } from "../train/options.js";
import { formatBytes, formatCount, totalBytes } from "../widgets/format.js";
import { readTrainConfig } from "./config.js";
import { flagsOf, parseBytes } from "./flags.js";

/** Token counts of a batch are rounded up to a multiple of this, as train() does. */
const SEQ_MULTIPLE = 32;

interface PlanFlags {
  readonly budget?: number;
  readonly dtype?: ComputeDType;
  readonly rank?: number;
  readonly batchSize?: number;
  readonly maxTokens?: number;
}

/** A run that is planned: its model's shape, and the options that memory depends on. */
export interface PlannedJob {
  readonly config: LlamaConfig;
  readonly dtype: ComputeDType;
  readonly lora: LoraOptions;
  readonly options: ResolvedOptions;
}

export function addPlan(program: Command): void {
  const { batchSize, maxTokens } = trainOptions;
  const command = program
    .command("plan")
    .argument("<model-or-config>", "folder of a model (config.json is enough), or the JSON file of `tunebook train`")
    .description("Print the memory a training run will need, before anything is allocated")
    .option("--budget <bytes>", "say whether it fits, and what would: 24GB, 16GiB", parseBytes)
    .addOption(new Option("--dtype <dtype>", "of weights and activations [bf16]").choices(computeDTypes))
    .option("--rank <number>", "of the LoRA update [8]", Number);
  for (const flag of flagsOf({ batchSize, maxTokens })) command.addOption(flag);
  command.action(async (source: string, flags: PlanFlags) => {
    const job = jobOf(source, flags);
    const bytes = await planBytes(job);
    console.log(describePlan(job, bytes));
    if (flags.budget === undefined) return;
    console.log(await describeBudget(job, bytes, flags.budget));
    if (totalBytes(bytes) > flags.budget) process.exitCode = 1;
  });
}

/** What a folder or a config file asks for, with the flags over it. */
function jobOf(source: string, flags: PlanFlags): PlannedJob {
  const file = statSync(source, { throwIfNoEntry: false })?.isFile() && path.basename(source) !== "config.json";
  const given = file ? readTrainConfig(source) : undefined;
  const { batchSize, maxTokens } = flags;
  const overrides = Object.fromEntries(
    Object.entries({ batchSize, maxTokens }).filter(([, value]) => value !== undefined),
  );
  const folder = path.basename(source) === "config.json" ? path.dirname(source) : source;
  return {
    config: readConfig(given?.model ?? folder),
    dtype: flags.dtype ?? (given?.dtype as ComputeDType | undefined) ?? "bf16",
    lora: { ...given?.lora, ...(flags.rank === undefined ? {} : { rank: flags.rank }) },
    options: resolveOptions({ data: [], ...given?.train, ...overrides }),
  };
}

/** The bytes train() would allocate, category by category, for batches of the full length. Allocates nothing. */
export async function planBytes({ config, dtype, lora, options }: PlannedJob): Promise<MemoryBytes> {
  const real = await openDevice("auto");
  const seq = Math.min(Math.ceil(options.maxTokens / SEQ_MULTIPLE) * SEQ_MULTIPLE, config.contextTokens);
  const device = sketchDevice({
    name: real.name,
    computeDTypes: real.info.computeDTypes,
    workspaceBytes: (op) => real.workspaceBytes(op),
  });
  const base = sketchModel(config, silent(config), { device, dtype, contextTokens: seq });
  const model = await attachLora(base, lora);
  const bucket = { batch: options.batchSize, seq };
  const shapes = { rowsPerUpdate: bucket.batch, at: () => ({ train: [bucket], validation: [bucket], first: bucket }) };
  return (await planFastest(model, { ...options, microBatchSize: bucket.batch }, shapes)).bytes;
}

/** A plan reads no text, so a model folder may be planned without its tokenizer. */
function silent({ vocab, bos, eos, pad }: LlamaConfig): Tokenizer {
  const refuse = () => {
    throw new Error("a planned model has no tokenizer");
  };
  return { vocab, bos, eos: eos[0], pad: pad ?? 0, encode: refuse, decode: refuse, tokenText: refuse };
}

function describePlan({ config, dtype, lora, options }: PlannedJob, bytes: MemoryBytes): string {
  const { batchSize, maxTokens } = options;
  return [
    `${config.family}, ${config.layers} layers, ${formatCount(parameterCount(config))} parameters in ${dtype}; LoRA rank ${lora.rank ?? 8}; batches of ${batchSize} x ${maxTokens} tokens`,
    ...categories.map(
      (category) =>
        `  ${category.padEnd(12)} ${formatBytes(bytes[category]).padStart(10)}  ${formatCount(bytes[category]).padStart(18)} B`,
    ),
    `  ${"total".padEnd(12)} ${formatBytes(totalBytes(bytes)).padStart(10)}  ${formatCount(totalBytes(bytes)).padStart(18)} B`,
  ].join("\n");
}

/** Whether it fits, and what would when it does not. */
async function describeBudget(job: PlannedJob, bytes: MemoryBytes, budget: number): Promise<string> {
  const total = totalBytes(bytes);
  if (total <= budget) return `fits ${formatBytes(budget)}, with ${formatBytes(budget - total)} to spare`;
  const lines = [`does not fit ${formatBytes(budget)}: ${formatBytes(total - budget)} too much`];
  const fitting = await whatFits(job, budget);
  if (fitting.length === 0) {
    const fixed = bytes.weights + bytes.trained + bytes.gradients + bytes.optimizer;
    lines.push(
      `nothing would: weights, adapter and optimizer alone take ${formatBytes(fixed)}; take a smaller model, dtype or rank`,
    );
  }
  for (const { options, total } of fitting) {
    const accumulate = Math.ceil(job.options.batchSize / options.batchSize) * job.options.gradientAccumulationSteps;
    const words = [`batchSize ${options.batchSize}`, `maxTokens ${options.maxTokens}`];
    if (accumulate !== job.options.gradientAccumulationSteps) words.push(`gradientAccumulationSteps ${accumulate}`);
    if (options.gradientCheckpointing) words.push("gradientCheckpointing");
    if (options.memoryBudget !== undefined)
      words.push(`memoryBudget ${options.memoryBudget}, some layers computed again`);
    lines.push(`would fit: ${words.join(", ")} (${formatBytes(total)})`);
  }
  return lines.join("\n");
}

interface Fitting {
  readonly options: ResolvedOptions;
  readonly total: number;
}

/**
 * The asked batch with as few layers computed again as it takes; the largest batch of the asked length with all values kept, and with all
 * layers computed again; where no batch does, the longest single row.
 */
async function whatFits(job: PlannedJob, budget: number): Promise<Fitting[]> {
  const trial = (change: Partial<ResolvedOptions>) => async (): Promise<Fitting> => {
    const options = { ...job.options, ...change };
    return { options, total: totalBytes(await planBytes({ ...job, options })) };
  };
  const fits = ({ total }: Fitting) => total <= budget;
  const { batchSize, maxTokens } = job.options;
  const found: Fitting[] = [];
  // The same batch with just enough layers computed again; planRun refuses when there are not enough.
  const whole = await trial({ gradientCheckpointing: true })();
  if (fits(whole)) found.push(await trial({ gradientCheckpointing: false, memoryBudget: budget })());
  for (const gradientCheckpointing of [false, true]) {
    const batches = Array.from({ length: batchSize }, (_, i) => trial({ batchSize: i + 1, gradientCheckpointing }));
    const best = await lastThat(fits, batches);
    if (best) found.push(best);
  }
  if (found.length > 0) return found;
  const lengths = Array.from({ length: Math.floor(maxTokens / SEQ_MULTIPLE) }, (_, i) =>
    trial({ batchSize: 1, maxTokens: (i + 1) * SEQ_MULTIPLE, gradientCheckpointing: true }),
  );
  const longest = await lastThat(fits, lengths);
  return longest ? [longest] : [];
}

/** The last trial that passes, of trials that pass up to one and fail after it; tried by halving. */
async function lastThat<T>(
  passes: (result: T) => boolean,
  trials: readonly (() => Promise<T>)[],
): Promise<T | undefined> {
  let best: T | undefined;
  let [low, high] = [0, trials.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const result = await (trials[middle] as () => Promise<T>)();
    if (passes(result)) [best, low] = [result, middle + 1];
    else high = middle;
  }
  return best;
}
