// LoRA on a real model and real rows, 50 updates: the loss of each equals the one of transformers and PEFT.

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attachLora } from "../../src/adapter/index.js";
import { type Row, rows } from "../../src/data/index.js";
import { openDevice } from "../../src/engine/devices.js";
import { loadModel, type Model } from "../../src/model/index.js";
import { applyTemplate, batches, type Encoded } from "../../src/tokens/index.js";
import { train } from "../../src/training.js";
import { expectClose } from "../close.js";
import { eventsOf, temporaryFolder } from "../train/tiny-run.js";
import { absent, alpacaRows, readJson, stories } from "./stories.js";

interface Curve {
  readonly rowsRead: number;
  readonly rowsKept: number;
  /** Which of the rows kept each batch has, one batch of four after another. */
  readonly order: readonly number[];
  readonly lengths: readonly number[];
  readonly trainedTokens: readonly number[];
  readonly f32: readonly number[];
  readonly bf16: readonly number[];
  readonly gradientNorm: readonly number[];
}

const golden = readJson<Curve>(new URL("lora_curve.json", import.meta.url));
const [maxTokens, batchSize, seed] = [256, 4, 42];

async function curveOf(base: Model, data: readonly Row[]) {
  const model = await attachLora(base, { rank: 8, alpha: 16, seed });
  const run = train(model, {
    data,
    template: "alpaca",
    maxTokens,
    batchSize,
    maxSteps: 50,
    learningRate: 3e-3,
    scheduler: "linear",
    warmupSteps: 5,
    maxGradNorm: 1,
    seed,
    outputFolder: path.join(temporaryFolder(), "run"),
  });
  await run.finished;
  model.dispose();
  return eventsOf(run, "updated");
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe.skipIf(absent)(`LoRA on stories260k${absent ? ` (${absent})` : ""}`, () => {
  let data: readonly Row[] = [];
  const models: Partial<Record<"f32" | "bf16", Model>> = {};

  beforeAll(async () => {
    data = (await rows(alpacaRows)).slice(0, golden.rowsRead);
    const device = await openDevice("cpu");
    for (const dtype of ["f32", "bf16"] as const) models[dtype] = await loadModel(stories, { device, dtype });
  });
  afterAll(() => {
    for (const model of Object.values(models)) model.dispose();
  });

  test("has the rows, lengths and order the golden run had", () => {
    const { tokenizer } = models.f32 as Model;
    const encoded = data
      .map((row, index): Encoded => applyTemplate(row, tokenizer, { template: "alpaca", maxTokens, index }))
      .filter(({ trained }) => trained.some((is) => is));
    expect(encoded.map(({ ids }) => ids.length)).toEqual(golden.lengths);
    const order = [...batches(encoded, { batchSize, seed, epoch: 0, pad: 0 })].flatMap(({ rows }) => rows);
    expect(order).toEqual(golden.order.map((kept) => (encoded[kept] as Encoded).row));
  });

  test("f32: each loss within 1e-3 of PEFT's, and the loss falls", async () => {
    const updates = await curveOf(models.f32 as Model, data);
    const losses = updates.map(({ loss }) => loss);
    expect(updates.map(({ trainedTokens }) => trainedTokens)).toEqual(golden.trainedTokens);
    expectClose(losses, golden.f32, { relative: 1e-3 }, "loss");
    expectClose(
      updates.map(({ gradientNorm }) => gradientNorm),
      golden.gradientNorm,
      { relative: 1e-2 },
      "gradient norm",
    );
    expect(mean(losses.slice(-10))).toBeLessThan(mean(losses.slice(0, 10)) - 0.3);
  }, 300_000);

  test("bf16: each loss within 2e-2 of PEFT's in bf16", async () => {
    const updates = await curveOf(models.bf16 as Model, data);
    expectClose(
      updates.map(({ loss }) => loss),
      golden.bf16,
      { relative: 2e-2 },
      "loss",
    );
  }, 300_000);
});
