// Trains on the cpu device while a timer watches the main thread. Prints the longest stretch between two ticks, in milliseconds of
// processor time of this thread: time in which other processes had the processor does not count.

import { readFileSync } from "node:fs";
import { attachLora } from "../../src/adapter/index.js";
import { openDevice } from "../../src/engine/devices.js";
import { normalAt } from "../../src/engine/random.js";
import { train } from "../../src/training.js";
import { tinyModel } from "../model/tiny.js";

const [outputFolder] = process.argv.slice(2) as [string];

/** Nanoseconds of processor time the main thread has had. */
function processorMs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}

async function main(): Promise<void> {
  const device = await openDevice("cpu");
  const config = { hidden: 128, intermediate: 344, layers: 6, heads: 8, kvHeads: 4, headDim: 16, contextTokens: 128 };
  const model = await attachLora(await tinyModel(device, { config, values: roughValues }), { rank: 8 });
  const rows = Array.from({ length: 2000 }, (_, i) => ({
    instruction: `${i} ${"abc".repeat(1 + (i % 9))}`,
    output: "cba".repeat(1 + (i % 17)),
  }));
  let last = processorMs();
  let worst = { ms: 0, after: "start" };
  let told = "start";
  const timer = setInterval(() => {
    const now = processorMs();
    if (now - last > worst.ms) worst = { ms: now - last, after: told };
    last = processorMs();
  }, 1);
  const run = train(model, {
    data: rows as never,
    validation: 0.05,
    template: "none",
    maxTokens: 96,
    batchSize: 4,
    maxSteps: 40,
    saveSteps: 10,
    samplePrompts: ["abc"],
    sampleSteps: 15,
    outputFolder,
  });
  for await (const event of run) told = `${event.kind} ${event.update}`;
  clearInterval(timer);
  process.stdout.write(JSON.stringify(worst));
}

/** As the tiny model's, made faster: each tensor repeats 997 numbers. */
function roughValues({ name, shape }: { readonly name: string; readonly shape: readonly number[] }): Float32Array {
  const size = 1 / Math.sqrt(shape.at(-1) as number);
  const some = Array.from({ length: 997 }, (_, i) => size * normalAt(shape.length, i));
  const count = shape.reduce((product, axis) => product * axis, 1);
  return Float32Array.from({ length: count }, (_, i) => (name.endsWith("norm.weight") ? 1 : (some[i % 997] as number)));
}

void main();
