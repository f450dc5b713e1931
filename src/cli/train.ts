// `tunebook train CONFIG`: a training run from a JSON file, with its progress in the terminal.

import { type Command, Option } from "commander";
import { attachLora } from "../adapter/index.js";
import type { DeviceName } from "../engine/devices.js";
import { type ComputeDType, loadModel, type Quantization, quantizations } from "../model/index.js";
import { type Run, type TrainOptions, trainOptions } from "../train/index.js";
import { train } from "../training.js";
import { show, totalBytes } from "../widgets/index.js";
import { emptyRun, foldRun } from "../widgets/state.js";
import { readTrainConfig } from "./config.js";
import { flagsOf } from "./flags.js";
import { runSummary } from "./summary.js";

export function addTrain(program: Command): void {
  const command = program
    .command("train")
    .argument(
      "<config>",
      "JSON file: model, data, lora {rank, ...}, device, dtype, quantize, and the options below in camelCase",
    )
    .description("Fine-tune a model; a flag overrides the field of the same name in the file");
  for (const flag of flagsOf(trainOptions)) command.addOption(flag);
  command.addOption(new Option("--quantize <format>", "of linear layers [as dtype]").choices(quantizations));
  command.option("--resume", "go on from the newest checkpoint of the output folder");
  command.action(async (file: string, { quantize: format, ...flags }: Record<string, unknown>) => {
    const own = format === undefined ? {} : { quantize: format as Quantization };
    const { model: folder, device, dtype, quantize, lora, train: options } = { ...readTrainConfig(file), ...own };
    const base = await loadModel(folder, {
      ...(device === undefined ? {} : { device: device as DeviceName }),
      ...(dtype === undefined ? {} : { dtype: dtype as ComputeDType }),
      quantize: quantize as Quantization | undefined,
    });
    const model = await attachLora(base, lora);
    // Field by field, train() checks what the file says.
    const run = train(model, { ...options, ...flags } as unknown as TrainOptions);
    await watch(run);
    await base.device.dispose();
  });
}

/** Show a run in the terminal until it ends. The first Ctrl-C stops and saves, the second ends the process. */
async function watch(run: Run): Promise<void> {
  const stop = () => {
    process.stderr.write("\nstopping; what was learned is saved (again to end at once)\n");
    void run.stop();
  };
  process.once("SIGINT", stop);
  try {
    await show(run, { place: { kind: "terminal" } });
  } finally {
    process.off("SIGINT", stop);
  }
  const state = run.events.reduce(foldRun, emptyRun(run.id));
  const held = run.events.map((event) => (event.kind === "updated" ? totalBytes(event.memory) : 0));
  const { adapter } = await run.finished;
  process.stderr.write(`${runSummary(state, Math.max(0, ...held), process.stderr.columns || 100)}\n`);
  if (adapter !== undefined) console.log(adapter);
}
