// Trains the tiny model in a process of its own, which resume.slow.test.ts kills. Prints the number of each update.

import { attachLora } from "../../src/adapter/index.js";
import { type DeviceName, openDevice } from "../../src/engine/devices.js";
import { train } from "../../src/train/index.js";
import { tinyModel } from "../model/tiny.js";

const [outputFolder, deviceName] = process.argv.slice(2) as [string, DeviceName];
const rows = ["abc", "bca", "cab", "dea", "fgh", "hij", "aa"].map((text) => ({
  kind: "instruction" as const,
  instruction: text,
  output: [...text].reverse().join(""),
}));

async function main(): Promise<void> {
  const model = await attachLora(await tinyModel(await openDevice(deviceName)), { rank: 2, dropout: 0.2 });
  const run = train(model, {
    data: rows,
    template: "none",
    maxTokens: 16,
    batchSize: 2,
    gradientAccumulationSteps: 2,
    maxSteps: 20,
    learningRate: 1e-2,
    saveSteps: 1,
    outputFolder,
    resume: true,
  });
  for await (const event of run) if (event.kind === "updated") process.stdout.write(`${event.update}\n`);
}

void main();
