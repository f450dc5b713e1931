// `tunebook targets MODEL`: the layers that can carry LoRA, with shapes and counts, from the config alone.

import type { Command } from "commander";
import { type LoraTarget, loraTargets } from "../adapter/index.js";
import { familyOf, parameterCount, placeOf } from "../model/index.js";
import { formatCount } from "../widgets/format.js";

export function addTargets(program: Command): void {
  program
    .command("targets")
    .argument("<model>", "folder of a model (config.json is enough)")
    .description(
      "List the layers that can carry LoRA: their names for `targets`, shapes, and what an adapter trains on them",
    )
    .option("--rank <number>", "of the LoRA update [8]", Number)
    .action(async (source: string, { rank }: { readonly rank?: number }) => {
      const { config } = await placeOf(source);
      const list = loraTargets({ linears: familyOf(config).linears(config) }, { rank });
      const trained = list.reduce((sum, target) => sum + target.trained, 0);
      const all = parameterCount(config);
      console.log(linesOf(list).join("\n"));
      console.log(
        `all of them: ${formatCount(trained)} numbers train, ${((100 * trained) / all).toPrecision(3)} % of the model's ${formatCount(all)}`,
      );
    });
}

/** Columns as wide as their longest cell; numbers at the right. */
function linesOf(list: readonly LoraTarget[]): string[] {
  const rows = list.map(({ target, name, layers, outputs, inputs, parameters, trained }) => [
    target,
    name,
    `${formatCount(layers)} of [${outputs}, ${inputs}]`,
    formatCount(parameters),
    formatCount(trained),
  ]);
  const table = [["target", "layers", "matrices", "parameters", "trained"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((row) => (row[column] as string).length)));
  return table.map((row) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join("  "),
  );
}
