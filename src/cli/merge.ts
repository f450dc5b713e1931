// `tunebook merge MODEL --adapter DIR --into DIR`: an adapter put into the weights, checked, as a model folder. The folder alone on stdout.

import { type Command, Option } from "commander";
import { loadAdapter } from "../adapter/index.js";
import type { DeviceName } from "../engine/devices.js";
import { mergeAdapter } from "../merging.js";
import { type ComputeDType, computeDTypes, dtypesOf, loadModel } from "../model/index.js";
import { formatValue } from "../widgets/format.js";
import { progressOf } from "./progress.js";

interface MergeFlags {
  readonly adapter: string;
  readonly into: string;
  readonly device?: DeviceName;
  readonly dtype?: ComputeDType;
  readonly saveAs?: ComputeDType;
}

export function addMerge(program: Command): void {
  program
    .command("merge")
    .argument("<model>", "folder of a model")
    .description(
      "Put an adapter into the weights: a model folder that says what the adapter said, compared before it gets its name",
    )
    .requiredOption("--adapter <folder>", "the adapter")
    .requiredOption("--into <folder>", "the folder to make; it must not be there, or be empty")
    .addOption(new Option("--device <name>", "where to compare [auto]").choices(["auto", "cpu", "tfjs", "reference"]))
    .addOption(new Option("--dtype <dtype>", "of weights and activations [the device's best]").choices(computeDTypes))
    .addOption(new Option("--save-as <dtype>", "of the weights that are written [as --dtype]").choices(computeDTypes))
    .action(run);
}

async function run(folder: string, { adapter, into, device, dtype, saveAs }: MergeFlags): Promise<void> {
  const base = await loadModel(folder, { ...(device && { device }), ...(dtype && { dtype }) });
  const progress = progressOf("tensors merged");
  try {
    const model = await loadAdapter(base, adapter);
    process.stderr.write(`${model.name} on ${base.device.name}, ${dtypesOf(base)}\n`);
    const onProgress = (done: number, total: number) => {
      progress.count(done, total);
      if (done < total) return;
      progress.stop();
      process.stderr.write("comparing what both say\n");
    };
    const merged = await mergeAdapter(model, { into, saveAs, onProgress });
    const same = merged.answers.filter((answer) => answer.same).length;
    process.stderr.write(
      `scores differ by at most ${formatValue(merged.largestDifference)}, ${same} of ${merged.answers.length} answers are the same\n`,
    );
    console.log(merged.folder);
  } finally {
    progress.stop();
    await base.device.dispose();
  }
}
