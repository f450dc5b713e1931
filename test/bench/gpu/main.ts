// What a GPU makes of this library, in one command, to be run unattended within ten minutes:
//
//     npx tsx test/bench/gpu/main.ts [--out FILE] [--python PROGRAM] [--skip build,contract,rates,step,peer] [--layers N] [--simulated]
//
// Builds the engine and its kernels (nvcc is needed), runs the contract suite on cuda:0, times single ops, then training steps of a model
// of Llama-3.1-8B's sizes with random weights in bf16 and LoRA r = 16; with --python, PyTorch does the same beside it. Everything that is
// printed is also written to FILE [artifacts/gpu.txt]. --simulated tries the bench itself out: a tiny model on a simulated GPU.

import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type CudaDevice, cudaDevice } from "../../../src/engine/cuda.js";
import { simulatedGpu } from "../../engine/cuda/simulated.js";
import { configOf, type Shape } from "../shapes.js";
import { pooledModel } from "./model.js";
import { rateOf, works } from "./rates.js";
import { stepRate } from "./step.js";

const root = resolve(import.meta.dirname, "..", "..", "..");
const { values } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "artifacts", "gpu.txt") },
    python: { type: "string" },
    skip: { type: "string", default: "" },
    layers: { type: "string", default: "32" },
    simulated: { type: "boolean", default: false },
  },
});

function say(line: string): void {
  console.log(line);
  appendFileSync(values.out, `${line}\n`);
}

/** Run a program with its output shown and kept. @returns whether it ended well and in time. */
function show(limitSeconds: number, program: string, ...args: string[]): Promise<boolean> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), limitSeconds * 1000);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text: Buffer) => {
        process.stdout.write(text);
        appendFileSync(values.out, text);
      });
    }
    child.on("error", fail);
    child.on("close", (code) => {
      clearTimeout(timer);
      done(code === 0);
    });
  });
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

async function rates(device: CudaDevice): Promise<void> {
  for (const tokens of values.simulated ? [64] : [512, 4096]) {
    for (const work of works(tokens, values.simulated ? 8 : 1)) {
      const { title, seconds, tflops, gigabytes } = await rateOf(
        device,
        work,
        values.simulated ? 1 : 20,
        values.simulated ? 1 : 5,
      );
      const columns = [
        `${(seconds * 1e3).toFixed(3)} ms`,
        `${tflops.toFixed(1)} TFLOP/s`,
        `${gigabytes.toFixed(0)} GB/s`,
      ];
      say(`T=${tokens} ${title.padEnd(32)} ${columns.map((text) => text.padStart(14)).join("")}`);
    }
  }
}

/** Sizes of Llama-3.1-8B, or tiny ones. */
const shape: Shape = {
  hidden_size: values.simulated ? 32 : 4096,
  num_hidden_layers: values.simulated ? 2 : Number(values.layers),
  num_attention_heads: values.simulated ? 4 : 32,
  num_key_value_heads: values.simulated ? 2 : 8,
  intermediate_size: values.simulated ? 48 : 14336,
  vocab_size: values.simulated ? 64 : 128256,
  tie_word_embeddings: false,
};

async function steps(device: CudaDevice): Promise<void> {
  const lengths = values.simulated ? [32] : [512, 4096];
  const base = await pooledModel(device, configOf(shape, Math.max(...lengths)));
  say(`weights ${gibibytes(base.weights.bytes)}`);
  for (const seq of lengths) {
    const rate = await stepRate(device, base, seq, 30);
    say(
      `LoRA step S=${seq}: ${rate.seconds.toFixed(3)} s, ${rate.tokensPerSecond.toFixed(0)} tokens/s, ${rate.tflops.toFixed(1)} TFLOP/s, ` +
        `loss ${rate.loss.toFixed(3)}; planned ${gibibytes(rate.plannedBytes)}, allocated ${gibibytes(rate.allocatedBytes)}, ` +
        `taken on the card ${gibibytes(rate.takenBytes)}`,
    );
  }
  base.dispose();
}

mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, "");
const skipped = values.skip.split(",");
const stages: Readonly<Record<string, () => Promise<unknown>>> = {
  build: () => show(240, process.execPath, "src/engine/native/build.mjs"),
  contract: () =>
    show(
      240,
      process.execPath,
      "node_modules/vitest/vitest.mjs",
      "run",
      "test/engine/contract",
      "-t",
      "cuda:0",
      "--reporter=dot",
    ),
  rates: () => rates(device()),
  step: () => steps(device()),
  peer: async () => values.python && show(240, values.python, join(import.meta.dirname, "peer.py")),
};

let opened: CudaDevice | undefined;
function device(): CudaDevice {
  opened ??= values.simulated ? simulatedGpu() : cudaDevice();
  return opened;
}

let good = true;
for (const [name, stage] of Object.entries(stages)) {
  if (skipped.includes(name) || (values.simulated && ["build", "contract", "peer"].includes(name))) continue;
  const began = performance.now();
  say(`--- ${name}`);
  try {
    if ((await stage()) === false) throw new Error("it did not end well");
    if (opened) say(opened.info.description);
  } catch (error) {
    good = false;
    say(`${name} failed: ${(error as Error).message}`);
  }
  say(`--- ${name}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
}
await opened?.dispose();
process.exitCode = good ? 0 : 1;
