import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { sketchDevice } from "../../src/engine/sketch.js";
import { tfjsDevice } from "../../src/engine/tfjs/index.js";
import { computeDTypes, describeFault, loadModel, readConfig, sketchModel } from "../../src/model/index.js";
import { checkDType } from "../../src/model/load.js";
import { modelFolder } from "./folder.js";
import { letters } from "./tiny.js";

const load = (folder: string) => loadModel(folder, { device: referenceDevice() });

describe("loadModel", () => {
  test("allocates exactly the bytes of the weights and the angle tables, and gives them back", async () => {
    const device = referenceDevice();
    const model = await loadModel(await modelFolder(), { device });
    // Every buffer starts at a multiple of 256: 22 small tensors round up.
    const sizes = [...model.weights.specs.values()].map(({ shape }) =>
      shape.reduce((a, b) => a * b, model.dtype === "f32" ? 4 : 2),
    );
    expect(sizes).toHaveLength(2 + 1 + 1 + 2 * 9 + 1);
    expect(device.allocated().weights).toBe(model.weights.bytes);
    model.dispose();
    expect(device.allocated().weights).toBe(0);
  });

  test("holds the values of the file", async () => {
    const folder = await modelFolder();
    const model = await loadModel(folder, { device: referenceDevice(), dtype: "f32" });
    const name = "model.layers.1.mlp.down_proj.weight";
    const { offset } = model.weights.placements.get(name) as { offset: number };
    const bytes = await model.weights.arena.read(offset, 16 * 24 * 4);
    const file = await readFile(path.join(folder, "model.safetensors"));
    const headerBytes = Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString());
    const [from, to] = header[name].data_offsets;
    expect(Buffer.from(bytes)).toEqual(file.subarray(8 + headerBytes + from, 8 + headerBytes + to));
  });

  test("refuses a tensor of another shape, naming both, and leaves nothing allocated", async () => {
    const device = referenceDevice();
    const name = "model.layers.0.self_attn.k_proj.weight";
    const folder = await modelFolder({ shapes: { [name]: [16, 16] } });
    await expect(loadModel(folder, { device })).rejects.toThrow(
      `model.safetensors: tensor "${name}": it has shape [16, 16], config.json says [8, 16]`,
    );
    expect(device.allocated().weights).toBe(0);
  });

  test("names a tensor that is missing, and what is there", async () => {
    const folder = await modelFolder({ shapes: { "model.norm.weight": undefined } });
    await expect(load(folder)).rejects.toThrow(
      'tensor "model.norm.weight": it is missing; the file has 20 tensors, such as',
    );
  });

  test("refuses a tokenizer with more tokens than the embedding has rows", async () => {
    const folder = await modelFolder({ characters: "abcdefghijklmnopqrstuvw" });
    await expect(load(folder)).rejects.toThrow("`vocab_size` is 24, but the tokenizer has 26 tokens");
  });

  test("refuses a dtype the device does not compute in, and a context longer than the model's", async () => {
    const folder = await modelFolder();
    const device = sketchDevice({ name: "cpu", workspaceBytes: () => 0, computeDTypes: ["f32"] });
    await expect(loadModel(folder, { device, dtype: "bf16" })).rejects.toThrow(
      "cpu does not compute in bf16, expected `dtype` to be one of f32",
    );
    await expect(loadModel(folder, { device, contextTokens: 33 })).rejects.toThrow(
      "expected `contextTokens` to be an integer from 1 to 32 (config.json), got 33",
    );
  });

  test("refuses f16 on tfjs, saying why", async () => {
    await expect(loadModel(await modelFolder(), { device: await tfjsDevice(), dtype: "f16" })).rejects.toThrow(
      "tfjs does not compute in f16: TensorFlow.js has no type of 16 bits, expected `dtype` to be one of f32",
    );
  });

  test("refuses f16 for a family that overflows in it, and takes its other dtypes", () => {
    const overflowsF16 = "the feed-forward of this family makes numbers beyond 65504";
    const device = referenceDevice();
    expect(() => checkDType({ overflowsF16 }, "wide", "f16", device)).toThrow(
      "wide does not compute in f16: the feed-forward of this family makes numbers beyond 65504, expected `dtype` to be one of f32, bf16",
    );
    for (const dtype of ["f32", "bf16"] as const) checkDType({ overflowsF16 }, "wide", dtype, device);
    for (const dtype of computeDTypes) checkDType({}, "narrow", dtype, device);
  });

  const wide = "model.layers.1.mlp.up_proj.weight";

  test("refuses numbers that do not fit f16, naming tensor and number, and loads them in bf16", async () => {
    const folder = await modelFolder({ storedAs: "BF16", values: { [wide]: { 7: 65504, 20: -98304, 21: 65536 } } });
    const device = referenceDevice();
    await expect(loadModel(folder, { device, dtype: "f16" })).rejects.toThrow(
      `model.safetensors: tensor "${wide}": 3 of 384 numbers do not fit f16, which ends at 65504, such as -98304 at 20: load the model with \`dtype: "bf16"\``,
    );
    expect(device.allocated().weights).toBe(0);
    const model = await loadModel(folder, { device, dtype: "bf16" });
    expect(model.weights.faults).toEqual([]);
  });

  test.each(computeDTypes)("counts what is not finite in a checkpoint, loaded in %s", async (dtype) => {
    const folder = await modelFolder({
      values: { [wide]: { 5: -Infinity, 6: Number.NaN, 300: Infinity }, "lm_head.weight": { 0: Number.NaN } },
    });
    const { faults } = (await loadModel(folder, { device: referenceDevice(), dtype })).weights;
    expect(faults).toEqual([
      { tensor: wide, count: 384, nans: 1, infinities: 2, at: 5, value: -Infinity },
      { tensor: "lm_head.weight", count: 384, nans: 1, infinities: 0, at: 0, value: Number.NaN },
    ]);
    expect(faults.map(describeFault)).toEqual([
      `"${wide}" holds 1 NaN and 2 infinities among 384 numbers, the first, -Infinity, at 5`,
      '"lm_head.weight" holds 1 NaN among 384 numbers, the first, NaN, at 0',
    ]);
  });

  test.each([
    [
      "a folder that is not there",
      async () => path.join(tmpdir(), "no-such-model"),
      "no-such-model: there is no such folder",
    ],
    [
      "a folder without config.json",
      () => mkdtemp(path.join(tmpdir(), "empty-")),
      "config.json: there is no such file: a model folder needs one",
    ],
    [
      "a folder without weights",
      async () => {
        const folder = await modelFolder();
        await rm(path.join(folder, "model.safetensors"));
        return folder;
      },
      "model.safetensors",
    ],
    [
      "truncated weights",
      async () => {
        const folder = await modelFolder();
        await truncate(path.join(folder, "model.safetensors"), 4000);
        return folder;
      },
      "the file",
    ],
    [
      "a Git LFS pointer instead of weights",
      async () => {
        const folder = await modelFolder();
        const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 1044984\n`;
        await writeFile(path.join(folder, "model.safetensors"), pointer);
        return folder;
      },
      "git lfs pull",
    ],
  ])("refuses %s", async (_what, make, message) => {
    await expect(load(await make())).rejects.toThrow(message);
  });
});

test("a model sketched from its config takes the same places as a loaded one, and no memory", async () => {
  const folder = await modelFolder();
  const model = await loadModel(folder, { device: referenceDevice(), dtype: "bf16" });
  const device = sketchDevice({ name: "cpu", workspaceBytes: () => 0, computeDTypes: ["bf16"] });
  const sketch = sketchModel(readConfig(folder), letters, { device, dtype: "bf16", contextTokens: 32 });
  expect(sketch.placements).toEqual(model.placements);
  expect(device.allocated().weights).toBe(model.weights.bytes);
  await expect(sketch.weights.arena.read(0, 4)).rejects.toThrow(
    "cannot read an arena: this device only plans memory for cpu",
  );
});
