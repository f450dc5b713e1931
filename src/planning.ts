// `plan`: the memory of a run before there is one, and the fastest way to make it within a budget. Here, above the folders, because it
// asks train/, adapter/ and generate/ in turn. Next to read: train/fit.ts, which chooses; widgets/plan.ts, which shows.

import { statSync } from "node:fs";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { attachLora, defaultRank, type LoraOptions, trainFully } from "./adapter/index.js";
import { type DeviceName, openDevice } from "./engine/devices.js";
import { type Device, type Program, sketchDevice, sketchOptions, totalBytes } from "./engine/index.js";
import { planComparison } from "./generate/index.js";
import { flopsOf } from "./meter/index.js";
import {
  type ComputeDType,
  defaultContext,
  defaultDType,
  dtypesOf,
  Model,
  type ModelConfig,
  parameterCount,
  parseConfig,
  type Quantization,
  readConfig,
  sketchModel,
  sketchOf,
} from "./model/index.js";
import type { Tokenizer } from "./tokens/index.js";
import type { MemoryBytes } from "./train/events.js";
import { Fitter, timeOf } from "./train/fit.js";
import { countChoices, type LayerChoice } from "./train/layers.js";
import { microBatches, paddedTokens } from "./train/microbatch.js";
import { type ResolvedOptions, resolveOptions, rowsPerUpdate, type TrainOptions } from "./train/options.js";
import { addBytes, programsOf, type RunBuckets, type RunPlan, RunPlanner, type RunShapes } from "./train/plan.js";
import { shortfallOf } from "./train/refuse.js";
import { formatBytes, formatCount, parseBytes } from "./widgets/format.js";
import { MemoryPlan, type PlanAlternative } from "./widgets/plan.js";

type Batching = "batchSize" | "gradientAccumulationSteps" | "microBatchSize" | "maxTokens" | "gradientCheckpointing";

export interface PlanQuestion extends Pick<TrainOptions, Batching> {
  /** A loaded model, the folder of one, its config.json alone, or what stands in that file. */
  readonly model: Model | string | Readonly<Record<string, unknown>>;
  /** What trains: options of attachLora, or "full". @default what the model trains already, else LoRA with its defaults */
  readonly method?: LoraOptions | "full" | undefined;
  /** Bytes the run may take, as a number or as in "24GB". @default as much as it takes */
  readonly budget?: number | string | undefined;
  /** Dtype of activations and weights. @default what loadModel takes */
  readonly dtype?: ComputeDType | undefined;
  /** What linear layers are held in. @default dtype */
  readonly quantize?: Quantization | undefined;
  /** The device the run is for. @default "auto" */
  readonly device?: DeviceName | Device | undefined;
  /** Longest text in tokens the model is loaded for. @default what loadModel takes */
  readonly contextTokens?: number | undefined;
  /** Whether rows are evaluated that are as long as those trained on. @default true */
  readonly evaluation?: boolean | undefined;
  /** Tokens of prompt and answer together that base and tuned model are asked for while training; 0 for never. @default 256 */
  readonly generationTokens?: number | undefined;
}

/**
 * The memory of a run to the byte, from shapes alone: nothing is loaded or allocated. With a budget, the number of rows that go through
 * the model at once and what each layer computes again are chosen to be fastest within it; `fits` says whether there is a way at all.
 *
 * @example console.log(String(await plan({ model: "models/llama-7b", batchSize: 16, budget: "24GB" })));
 * @throws RangeError when a part of the question does not hold; CheckpointError when there is no such config.
 */
export async function plan(question: PlanQuestion): Promise<MemoryPlan> {
  const { evaluation = true, generationTokens = 256 } = question;
  const budget = typeof question.budget === "string" ? parseBytes(question.budget) : question.budget;
  if (budget !== undefined && !(Number.isFinite(budget) && budget > 0))
    throw new RangeError(`plan: expected \`budget\` to be bytes, or a text such as "24GB", got ${budget}`);
  const model = await modelOf(question);
  const options = optionsOf(question, model);
  await setImmediate();
  const beside = generationTokens > 0 ? await planComparison(model, generationTokens) : undefined;
  const planner = new RunPlanner(model, options, beside);
  await setImmediate();
  const shapes = shapesOf(options, evaluation);
  const { rowsPerUpdate: rows } = shapes;

  const everywhere = (choice: LayerChoice, batch: number) =>
    planner.plan(shapes.at(batch), (bucket) => planner.layers(bucket).map(() => choice));
  const asked = options.microBatchSize ?? Math.min(options.batchSize, rows);
  const sizes = options.microBatchSize === undefined ? microBatches(rows) : [options.microBatchSize];
  const best =
    budget === undefined
      ? await everywhere(options.gradientCheckpointing ? "layer" : "keep", asked)
      : options.gradientCheckpointing
        ? await lastThatFits(sizes, budget, (size) => everywhere("layer", size), beside)
        : (await new Fitter(planner, budget, shapes).fastest(sizes))?.plan;
  const least = shapes.at(Math.min(...sizes));
  const chosen = best ?? (await everywhere("layer", Math.min(...sizes)));
  const kept = timeOf(await everywhere("keep", asked), shapes.at(asked), model.device);
  const would = best || budget === undefined ? [] : await whatFits(planner, budget, least);

  const at = shapes.at(chosen.microBatch);
  const layers = [...chosen.recompute.values()][0] ?? [];
  const passes = Math.ceil(rows / chosen.microBatch);
  const flops = passes * flopsIn(chosen);
  const without = passes * flopsIn(await everywhere("keep", chosen.microBatch));
  const total = (bytes: MemoryBytes) => totalBytes(bytes) + totalBytes(beside ?? {});
  const alternative = async (name: string, choice: LayerChoice, size: number): Promise<PlanAlternative> => {
    const other = await everywhere(choice, size);
    const bytes = total(other.bytes);
    const time = timeOf(other, shapes.at(size), model.device) / kept;
    return { name, microBatchSize: size, bytes, time, fits: budget === undefined || bytes <= budget };
  };
  return new MemoryPlan({
    title: titleOf(
      model,
      question.method ?? (question.model instanceof Model && question.model.trained ? undefined : {}),
    ),
    budget,
    fits: best !== undefined && (budget === undefined || total(best.bytes) <= budget),
    bytes: beside ? addBytes(chosen.bytes, beside) : chosen.bytes,
    parts: partsOf(planner, chosen, at),
    rowsPerUpdate: rows,
    microBatchSize: chosen.microBatch,
    passes,
    seq: at.first.seq,
    layers,
    counts: countChoices(layers),
    flops,
    repeated: 1 - without / flops,
    time: timeOf(chosen, at, model.device) / kept,
    alternatives: [
      await alternative("everything kept", "keep", asked),
      await alternative("feed-forwards computed again", "mlp", asked),
      await alternative("every layer computed again", "layer", asked),
      ...(asked > 1
        ? [await alternative("everything kept", "keep", 1), await alternative("every layer computed again", "layer", 1)]
        : []),
    ],
    would,
  });
}

async function whatFits(planner: RunPlanner, budget: number, least: RunBuckets): Promise<readonly string[]> {
  const { would } = await shortfallOf(planner, budget, least);
  if (would.length > 0) return would;
  return [
    `a smaller model, dtype or rank: weights and what trains take ${formatBytes(planner.fixed - totalBytes(planner.beside ?? {}))}`,
  ];
}

/** The first plan that fits, of sizes that need less and less. */
async function lastThatFits(
  sizes: readonly number[],
  budget: number,
  planned: (size: number) => Promise<RunPlan>,
  beside: MemoryBytes | undefined,
): Promise<RunPlan | undefined> {
  for (const size of sizes) {
    const found = await planned(size);
    if (totalBytes(found.bytes) + totalBytes(beside ?? {}) <= budget) return found;
  }
  return undefined;
}

/** The model with what trains, on a device that only counts. */
async function modelOf({ model, method, dtype, quantize, device, contextTokens }: PlanQuestion): Promise<Model> {
  if (model instanceof Model) {
    if (model.trained && method === undefined) return model;
    return tuned(sketchOf(model, sketchDevice(sketchOptions(model.device))), method);
  }
  const real = typeof device === "object" ? device : await openDevice(device ?? "auto");
  const config = typeof model === "string" ? readConfig(folderOf(model)) : parseConfig(model);
  const base = sketchModel(config, silent(config), {
    device: sketchDevice(sketchOptions(real)),
    dtype: dtype ?? defaultDType(real),
    quantize,
    contextTokens: contextTokens ?? defaultContext(config),
  });
  return tuned(base, method);
}

function tuned(base: Model, method: LoraOptions | "full" | undefined): Promise<Model> {
  return method === "full" ? trainFully(base) : attachLora(base, method);
}

function folderOf(source: string): string {
  return statSync(source, { throwIfNoEntry: false })?.isFile() ? path.dirname(source) : source;
}

/** A plan reads no text, so a model may be planned without its tokenizer. */
function silent({ vocab, bos, eos, pad }: ModelConfig): Tokenizer {
  const refuse = () => {
    throw new Error("a planned model has no tokenizer");
  };
  return { vocab, bos, eos: eos[0], pad: pad ?? 0, encode: refuse, decode: refuse, tokenText: refuse };
}

function optionsOf(question: PlanQuestion, model: Model): ResolvedOptions {
  const { batchSize, gradientAccumulationSteps, microBatchSize, maxTokens, gradientCheckpointing } = question;
  const asked = { batchSize, gradientAccumulationSteps, microBatchSize, maxTokens, gradientCheckpointing };
  const options = resolveOptions({ data: [], ...asked });
  return { ...options, maxTokens: maxTokens ?? Math.min(options.maxTokens, model.contextTokens) };
}

/** Batches of the full length. */
function shapesOf(options: ResolvedOptions, evaluation: boolean): RunShapes {
  const seq = paddedTokens(options.maxTokens, options.maxTokens);
  const rows = rowsPerUpdate(options);
  return {
    rowsPerUpdate: rows,
    at(batch): RunBuckets {
      const bucket = { batch, seq };
      const count = Math.ceil(rows / batch);
      return { train: [{ ...bucket, count }], validation: evaluation ? [bucket] : [], first: bucket };
    },
  };
}

function partsOf(planner: RunPlanner, chosen: RunPlan, { validation }: RunBuckets) {
  const { accumulate, loss, clear, update, squares } = chosen;
  const evaluated = validation.length > 0 ? planner.bytesOf(programsOf(loss.tuned)) : undefined;
  const { weights, trained } = chosen.bytes;
  const { beside } = planner;
  return {
    training: planner.bytesOf([...programsOf(accumulate), clear, update, squares]),
    evaluation: evaluated,
    generation: beside && { ...beside, weights, trained },
  };
}

function flopsIn({ accumulate }: RunPlan): number {
  return Math.max(...programsOf(accumulate).map((program: Program) => flopsOf(program).total));
}

function titleOf(model: Model, method: PlanQuestion["method"]): string {
  const { config, device, trained } = model;
  const what =
    method === "full" ? "full training" : method ? `LoRA of rank ${method.rank ?? defaultRank}` : "what is attached";
  const size = `${config.family}, ${config.layers} layers, ${formatCount(parameterCount(config))} parameters in ${dtypesOf(model)}`;
  return `${size} on ${device.name}; ${what} trains ${formatCount(trained?.parameterCount ?? 0)}`;
}
