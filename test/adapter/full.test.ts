// Full training: all tensors, a tied head once, and a model folder in the end.

import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { trainFully } from "../../src/adapter/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { loadModel } from "../../src/model/index.js";
import { tinyModel } from "../model/tiny.js";
import { eventsOf, refusalOf, temporaryFolder, trainTiny } from "../train/tiny-run.js";

const shared = process.env["TUNEBOOK_SHARED"] ?? path.resolve(import.meta.dirname, "../../../shared");
const stories = path.join(shared, "assets", "models", "stories260k");

describe("trainFully", () => {
  test("trains every tensor of the checkpoint, a tied head once, and decays matrices only", async () => {
    const model = await trainFully(await tinyModel(referenceDevice(), { config: { tied: true } }));
    const names = model.trained?.list.map(({ name }) => name) ?? [];
    expect(names.length).toBe(1 + 2 * 9 + 1);
    expect(new Set(names).size).toBe(names.length);
    expect(names).not.toContain("lm_head.weight");
    expect(names).not.toContain("rope.cos");
    const still = model.trained?.list.filter(({ decay }) => !decay).map(({ name }) => name);
    expect(still).toEqual(names.filter((name) => name.endsWith("norm.weight")));
  });

  test("starts as the base, gives every tensor a gradient, and learns", async () => {
    const model = await trainFully(await tinyModel(referenceDevice(), { config: { tied: true } }));
    // The tiny model has no folder whose config.json could be saved with it.
    Object.assign(model.trained?.options as object, { save: async () => undefined });
    const run = await trainTiny(model, { maxSteps: 30, batchSize: 9 });
    const findings = eventsOf(run, "checked")[0]?.findings ?? [];
    expect(findings.find(({ check }) => check === "start")?.verdict).toBe("good");
    expect(findings.find(({ check }) => check === "gradients")?.message).toBe(
      "all 20 trained tensors get a finite gradient on the first batch",
    );
    const { firstLoss, lastLoss } = await run.finished;
    expect(lastLoss).toBeLessThan((firstLoss as number) / 2);
  });

  test("a model that already trains something is refused", async () => {
    const model = await trainFully(await tinyModel(referenceDevice()));
    expect(await refusalOf(trainFully(model))).toBe(
      'trainFully: "tiny" already has tensors that train; start from its `base` instead',
    );
  });

  test("a quantised base is refused, naming the tensor and what to do instead", async () => {
    const device = referenceDevice();
    expect(await refusalOf(trainFully(await tinyModel(device, { quantize: "nf4" })))).toBe(
      'trainFully: "model.layers.0.self_attn.q_proj.weight" is held in nf4, which does not train; load the model without `quantize`, or train an adapter on it with attachLora',
    );
    expect(device.allocated().trained).toBe(0);
  });

  test.skipIf(!existsSync(stories))(
    "what is saved is a model folder with the same values (needs ../shared)",
    async () => {
      const folder = path.join(temporaryFolder(), "base");
      mkdirSync(folder);
      for (const name of ["config.json", "model.safetensors", "tokenizer.model"])
        copyFileSync(path.join(stories, name), path.join(folder, name));
      const device = referenceDevice();
      const model = await trainFully(await loadModel(folder, { device, dtype: "f32" }));
      const to = path.join(temporaryFolder(), "tuned");
      await model.trained?.save(to);
      const again = await loadModel(to, { device, dtype: "f32" });
      for (const { name } of model.trained?.list ?? []) {
        const { offset, shape } = again.weights.placements.get(name) as { offset: number; shape: readonly number[] };
        const bytes = await again.weights.arena.read(
          offset,
          shape.reduce((a, b) => a * b, 4),
        );
        expect(new Float32Array(bytes.slice().buffer), name).toEqual(await model.trained?.read(name));
      }
      expect(again.config).toEqual({ ...model.config, storedAs: "float32" });
    },
  );
});
