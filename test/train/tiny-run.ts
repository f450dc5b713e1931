// A small model, a small task and a folder to train it in, for tests of runs.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";
import { attachLora, type LoraOptions } from "../../src/adapter/index.js";
import type { Row } from "../../src/data/index.js";
import type { Device } from "../../src/engine/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import type { Model } from "../../src/model/index.js";
import { type Run, type TrainEvent, type TrainOptions, train } from "../../src/train/index.js";
import { type TinyOptions, tinyModel } from "../model/tiny.js";

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "tunebook-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Rows whose answer is the question said backwards. */
export const backwards: readonly Row[] = ["abc", "bca", "cab", "dea", "fgh", "hij", "aa", "bdeg", "ceg"].map(
  (text) => ({
    kind: "instruction",
    instruction: text,
    output: [...text].reverse().join(""),
  }),
);

export async function tinyLora(
  lora: LoraOptions = {},
  tiny: TinyOptions = {},
  device: Device = referenceDevice(),
): Promise<Model> {
  return attachLora(await tinyModel(device, tiny), { rank: 2, ...lora });
}

/** Options that suit the tiny model: short rows, plain prompts, a folder of its own. */
export function tinyOptions(options: Partial<TrainOptions> = {}): TrainOptions {
  return {
    data: backwards,
    template: "none",
    maxTokens: 16,
    batchSize: 2,
    maxSteps: 4,
    learningRate: 1e-2,
    outputFolder: options.outputFolder ?? path.join(temporaryFolder(), "run"),
    ...options,
  };
}

/** Train the tiny model to the end. */
export async function trainTiny(model: Model, options: Partial<TrainOptions> = {}): Promise<Run> {
  const run = train(model, tinyOptions(options));
  await run.finished;
  return run;
}

export function eventsOf<K extends TrainEvent["kind"]>(run: Run, kind: K): Extract<TrainEvent, { kind: K }>[] {
  return run.events.filter((event): event is Extract<TrainEvent, { kind: K }> => event.kind === kind);
}

/** The message a promise rejects with. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "nothing was refused",
    (error: Error) => error.message,
  );
}
