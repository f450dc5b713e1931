// `tunebook plan MODEL_OR_CONFIG`: the memory of a training run to the byte, from config.json alone, and the fastest way within a budget.

import { statSync } from "node:fs";
import path from "node:path";
import { type Command, Option } from "commander";
import { type ComputeDType, computeDTypes, type Quantization, quantizations } from "../model/index.js";
import { type PlanQuestion, plan } from "../planning.js";
import { type TrainOptions, trainOptions } from "../train/options.js";
import { readTrainConfig } from "./config.js";
import { flagsOf, parseBytes } from "./flags.js";

interface PlanFlags extends Pick<TrainOptions, keyof typeof batching> {
  readonly budget?: number;
  readonly dtype?: ComputeDType;
  readonly quantize?: Quantization;
  readonly rank?: number;
  readonly generationTokens?: number;
}

const { batchSize, gradientAccumulationSteps, microBatchSize, maxTokens } = trainOptions;
const batching = { batchSize, gradientAccumulationSteps, microBatchSize, maxTokens };

export function addPlan(program: Command): void {
  const command = program
    .command("plan")
    .argument("<model-or-config>", "folder of a model (config.json is enough), or the JSON file of `tunebook train`")
    .description(
      "Print the memory a training run will need, before anything is allocated, and the fastest way within a budget",
    )
    .option(
      "--budget <bytes>",
      "choose what is fastest within so much, and say what else would fit: 24GB, 16GiB",
      parseBytes,
    )
    .addOption(new Option("--dtype <dtype>", "of weights and activations [the device's best]").choices(computeDTypes))
    .addOption(new Option("--quantize <format>", "of linear layers [as dtype]").choices(quantizations))
    .option("--rank <number>", "of the LoRA update [8]", Number)
    .option("--generation-tokens <number>", "of answers while training, prompt included; 0 for none [256]", Number);
  for (const flag of flagsOf(batching)) command.addOption(flag);
  command.action(async (source: string, flags: PlanFlags) => {
    const answer = await plan(questionOf(source, flags));
    console.log(answer.toString());
    if (!answer.fits) process.exitCode = 1;
  });
}

/** What a folder or a config file asks for, with the flags over it. */
function questionOf(source: string, { rank, ...flags }: PlanFlags): PlanQuestion {
  const isJob = statSync(source, { throwIfNoEntry: false })?.isFile() && path.basename(source) !== "config.json";
  const method = rank === undefined ? {} : { rank };
  if (!isJob) return { model: source, method, ...flags };
  const { model, dtype, quantize, lora, train } = readTrainConfig(source);
  const { memoryBudget, validation, samplePrompts } = train as Partial<TrainOptions>;
  const asked = Object.fromEntries(
    Object.keys({ ...batching, gradientCheckpointing: true }).map((name) => [name, train[name]]),
  ) as Pick<TrainOptions, keyof typeof batching>;
  return {
    model,
    dtype: dtype as ComputeDType | undefined,
    quantize: quantize as Quantization | undefined,
    budget: memoryBudget,
    evaluation: validation !== undefined,
    generationTokens: (samplePrompts ?? []).length > 0 ? undefined : 0,
    ...asked,
    ...flags,
    method: { ...lora, ...method },
  };
}
