// `tunebook generate MODEL --prompt TEXT`: the text alone on stdout as it is made, everything else on stderr.

import { type Command, Option } from "commander";
import { loadAdapter } from "../adapter/index.js";
import type { DeviceName } from "../engine/devices.js";
import { type GenerateOptions, generate } from "../generate/index.js";
import {
  type ComputeDType,
  computeDTypes,
  dtypesOf,
  loadModel,
  type Quantization,
  quantizations,
} from "../model/index.js";
import { renderPrompt, type TemplateName, templates } from "../tokens/index.js";

interface GenerateFlags extends Omit<GenerateOptions, "signal"> {
  readonly prompt: string;
  readonly template?: TemplateName;
  readonly adapter?: string;
  readonly device?: DeviceName;
  readonly dtype?: ComputeDType;
  readonly quantize?: Quantization;
}

export function addGenerate(program: Command): void {
  program
    .command("generate")
    .argument("<model>", "folder of a model")
    .description("Let a model go on from a prompt; the text alone goes to stdout")
    .requiredOption("--prompt <text>", "what the model goes on from")
    .addOption(
      new Option("--template <name>", "put the prompt into this template as an instruction").choices(
        Object.keys(templates),
      ),
    )
    .option("--adapter <folder>", "answer as tuned by this adapter")
    .option("--temperature <number>", "0 takes the likeliest token, 1 samples as the model says [0]", Number)
    .option("--top-k <number>", "sample among this many of the likeliest tokens [all]", Number)
    .option("--top-p <number>", "sample among the likeliest tokens that together have this probability [1]", Number)
    .option("--seed <number>", "of sampling [42]", Number)
    .option("--max-new-tokens <number>", "longest answer in tokens [200]", Number)
    .option("--stop <text>", "end the answer before this text; may be given again", (text, before: string[] = []) => [
      ...before,
      text,
    ])
    .option("--device <name>", "where to run: auto, cuda, cuda:1 and so on, cpu, tfjs, reference [auto]")
    .addOption(new Option("--dtype <dtype>", "of weights and activations [the device's best]").choices(computeDTypes))
    .addOption(new Option("--quantize <format>", "of linear layers [as dtype]").choices(quantizations))
    .action(run);
}

async function run(
  folder: string,
  { prompt, template, adapter, device, dtype, quantize, ...options }: GenerateFlags,
): Promise<void> {
  const base = await loadModel(folder, { ...(device && { device }), ...(dtype && { dtype }), quantize });
  const model = adapter === undefined ? base : await loadAdapter(base, adapter);
  process.stderr.write(`${model.name} on ${base.device.name} (${base.device.info.description}), ${dtypesOf(base)}\n`);

  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once("SIGINT", stop);
  const began = performance.now();
  let count = 0;
  try {
    const asked = template === undefined ? prompt : renderPrompt(template, { instruction: prompt });
    for await (const { text } of generate(model, asked, { ...options, signal: stopping.signal })) {
      count += 1;
      if (text !== "" && !process.stdout.write(text))
        await new Promise((resolve) => process.stdout.once("drain", resolve));
    }
  } finally {
    process.off("SIGINT", stop);
    await base.device.dispose();
  }
  const seconds = (performance.now() - began) / 1000;
  process.stderr.write(`\n${count} tokens in ${seconds.toFixed(2)} s, ${(count / seconds).toFixed(0)} tokens/s\n`);
}
