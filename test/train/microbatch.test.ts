// However an update is cut and whatever is computed again: the same gradients.

import { describe, expect, test } from "vitest";
import { uniformAt } from "../../src/engine/random.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { batches, type Encoded } from "../../src/tokens/index.js";
import { Feed, shapesOf } from "../../src/train/feed.js";
import type { LayerChoice } from "../../src/train/layers.js";
import { microBatches } from "../../src/train/microbatch.js";
import { resolveOptions } from "../../src/train/options.js";
import { RunPlanner } from "../../src/train/plan.js";
import { Stepper } from "../../src/train/step.js";
import { withAdapters } from "../model/batch-loss.js";
import { tinyModel } from "../model/tiny.js";

/** Rows of random letters; the first half of each is a prompt. */
function encodedRows(lengths: readonly number[]): readonly Encoded[] {
  return lengths.map((length, row) => ({
    ids: Array.from({ length }, (_, at) => 3 + Math.floor(21 * uniformAt(5, row, at))),
    trained: Array.from({ length }, (_, at) => at >= length / 2),
    row,
  }));
}

const layers = 4;
const rows = encodedRows([7, 20, 31, 12, 9, 26]);

/** All gradients of one update over the rows, cut into passes of so many rows. */
async function gradientsOf(microBatch: number, choices: readonly LayerChoice[]) {
  const device = referenceDevice();
  const model = await withAdapters(device, await tinyModel(device, { config: { layers } }));
  const bucket = { batch: microBatch, seq: 32 };
  const buckets = { train: [bucket], validation: [], first: bucket };
  const plan = await new RunPlanner(model, resolveOptions({ data: [] })).plan(buckets, () => choices);
  const stepper = Stepper.open(model, plan);
  const cut = [...batches(rows, { batchSize: microBatch, pad: 0 })];
  const { loss } = await stepper.update(cut, { learningRate: 0, step: 1, clipNorm: 0, seed: 1 });
  const { gradients } = stepper.arenas;
  const bytes = await gradients.read(0, gradients.bytes);
  await stepper.dispose();
  return { loss, gradients: new Float32Array(bytes.slice().buffer), memory: plan.bytes.activations };
}

describe("the gradients of an update", () => {
  const words = ["keep", "mlp", "layer"] as const;

  test("are the same to the bit for every mixture of choices", async () => {
    const kept = await gradientsOf(3, []);
    for (let seed = 0; seed < 8; seed++) {
      const choices = Array.from(
        { length: layers },
        (_, at) => words[Math.floor(3 * uniformAt(seed, 1, at))] as LayerChoice,
      );
      const mixed = await gradientsOf(3, choices);
      expect(mixed.gradients, choices.join()).toEqual(kept.gradients);
      expect(mixed.loss).toBe(kept.loss);
    }
  });

  test("are the same for every number of rows at once, but for the order of f32 sums", async () => {
    const whole = await gradientsOf(6, []);
    const size = Math.hypot(...whole.gradients);
    for (const microBatch of [1, 2, 3, 4]) {
      const cut = await gradientsOf(microBatch, microBatch === 2 ? new Array<LayerChoice>(layers).fill("layer") : []);
      const apart = Math.hypot(...cut.gradients.map((value, i) => value - (whole.gradients[i] as number)));
      expect(apart / size, `${microBatch} rows at once`).toBeLessThan(1e-6);
      expect(Math.abs(cut.loss - whole.loss)).toBeLessThan(1e-6);
      expect(cut.memory).toBeLessThan(whole.memory);
    }
  });
});

describe("numbers of rows at once", () => {
  test("cut an update into nearly equal passes, each size once, most rows first", () => {
    expect(microBatches(1)).toEqual([1]);
    expect(microBatches(8)).toEqual([8, 4, 3, 2, 1]);
    expect(microBatches(12)).toEqual([12, 6, 4, 3, 2, 1]);
  });

  test("give the rows of each update, whatever they are, in the order of the seed", () => {
    const kept = encodedRows([5, 40, 12, 33, 9, 64, 20, 7, 31, 50, 2]);
    const data = { train: { kept, count: 11, dropped: [], cut: 0 }, validation: undefined, fingerprint: "" };
    const options = { data: [], batchSize: 2, gradientAccumulationSteps: 2, epochs: 2, maxTokens: 64 };
    const updatesWith = (microBatchSize: number) => {
      const feed = new Feed(data, resolveOptions({ ...options, microBatchSize }), 0);
      return [...feed.from(0)];
    };
    const rowsOf = (updates: ReturnType<typeof updatesWith>) =>
      updates.map((update) => update.flatMap((batch) => batch.rows));
    const asked = rowsOf(updatesWith(2));
    expect(asked.map((update) => update.length)).toEqual([4, 4, 3, 4, 4, 3]);
    for (const size of [1, 3, 4]) expect(rowsOf(updatesWith(size)), `${size} at once`).toEqual(asked);
  });

  test("have the shapes and counts of an epoch that are foretold", () => {
    const kept = encodedRows([5, 40, 12, 33, 9, 64, 20, 7, 31, 50, 2]);
    const data = { train: { kept, count: 11, dropped: [], cut: 0 }, validation: undefined, fingerprint: "" };
    for (const microBatchSize of [1, 2, 3, 4]) {
      const options = resolveOptions({ data: [], microBatchSize, epochs: 1, maxTokens: 60 });
      const short = kept.map((row) => ({ ...row, ids: row.ids.slice(0, 60), trained: row.trained.slice(0, 60) }));
      const own = { ...data, train: { ...data.train, kept: short } };
      const feed = new Feed(own, options, 0);
      const counts = new Map<string, number>();
      for (const { batch, seq } of [...feed.from(0)].flat()) {
        counts.set(`${batch}x${seq}`, (counts.get(`${batch}x${seq}`) ?? 0) + 1);
      }
      const { train, first } = shapesOf(own, options).at(microBatchSize);
      const foretold = train.map(({ batch, seq, count }) => [`${batch}x${seq}`, count] as const);
      expect(new Map(foretold.filter(([, count]) => count !== 0))).toEqual(counts);
      expect(first).toEqual({ batch: feed.first.batch, seq: feed.first.seq });
    }
  });
});
