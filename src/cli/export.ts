// `tunebook export MODEL --to FILE.gguf`: a model folder as one file for llama.cpp. The file alone on stdout.

import { stat } from "node:fs/promises";
import path from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { exportGguf, type GgufMatrixType, ggufMatrixTypes } from "../model/index.js";
import { formatBytes } from "../widgets/format.js";
import { progressOf } from "./progress.js";

interface ExportFlags {
  readonly to: string;
  readonly type: GgufMatrixType;
}

export function addExport(program: Command): void {
  program
    .command("export")
    .argument("<model>", "folder of a model, merged where there was an adapter")
    .description("Write a model as one GGUF file, which llama.cpp and what is built on it read")
    .requiredOption("--to <file>", "the file to write, ending in .gguf", ggufFile)
    .addOption(
      new Option("--type <type>", "how matrices are stored; norms stay f32")
        .choices(ggufMatrixTypes)
        .default("f16" satisfies GgufMatrixType),
    )
    .action(run);
}

async function run(folder: string, { to, type }: ExportFlags): Promise<void> {
  const file = path.resolve(to);
  const progress = progressOf("tensors written");
  try {
    await exportGguf(folder, file, { type, onProgress: (done, total) => progress.count(done, total) });
  } finally {
    progress.stop();
  }
  process.stderr.write(`${type}, ${formatBytes((await stat(file)).size)}\n`);
  console.log(file);
}

function ggufFile(text: string): string {
  if (text.endsWith(".gguf")) return text;
  throw new InvalidArgumentError("expected a file name that ends in .gguf");
}
