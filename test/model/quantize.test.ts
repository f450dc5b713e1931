// Models whose linear layers are held in few bits: which tensors, how many bytes before and after loading, and what is refused.

import { expect, test } from "vitest";
import type { Device } from "../../src/engine/device.js";
import { openDevice } from "../../src/engine/devices.js";
import { sizeOf } from "../../src/engine/dtype.js";
import { totalBytes } from "../../src/engine/program.js";
import { dequantize, isQuantized, quantize as quantizeMatrix } from "../../src/engine/quantized.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { sketchDevice } from "../../src/engine/sketch.js";
import { loadModel, type Model, openCheckpoint, readConfig, sketchModel } from "../../src/model/index.js";
import { Quantizer, quantizations, quantizeSpecs, STAGE_BYTES } from "../../src/model/quantize.js";
import { modelFolder } from "./folder.js";
import { letters, tinyModel } from "./tiny.js";

/** The most a device held at any time from here on. */
function watch(device: Device): () => number {
  let most = totalBytes(device.allocated());
  const allocate = device.allocate.bind(device);
  device.allocate = (category, bytes) => {
    const arena = allocate(category, bytes);
    most = Math.max(most, totalBytes(device.allocated()));
    return arena;
  };
  return () => most;
}

async function bytesOfTensor({ weights }: Model, name: string): Promise<Uint8Array> {
  const { arena, placements } = weights;
  const places = [...placements.values()].map(({ offset }) => offset);
  const { offset } = placements.get(name) as { offset: number };
  const end = Math.min(weights.bytes, ...places.filter((other) => other > offset));
  return (await arena.read(offset, end - offset)).slice();
}

test.each([true, false])("linear layers of the blocks are quantised, nothing else is (tied head %s)", async (tied) => {
  const model = await tinyModel(referenceDevice(), {
    quantize: "int4",
    config: { tied, qkvBias: true, family: "qwen2" },
  });
  const matrices = model.linears.map(({ name }) => `${name}.weight`);
  for (const { name, dtype } of model.weights.specs.values()) {
    expect(`${name} ${dtype}`).toBe(`${name} ${matrices.includes(name) ? "i4" : "f32"}`);
  }
  expect(model.quantize).toBe("int4");
});

test("a plan for a device that reads no quantised matrices is refused as loading on it is", async () => {
  const config = readConfig(await modelFolder());
  const noQuantized = "its kernels read whole numbers";
  const device = sketchDevice({ name: "cuda", workspaceBytes: () => 0, computeDTypes: ["f32"], noQuantized });
  expect(() => sketchModel(config, letters, { device, dtype: "f32", contextTokens: 8, quantize: "nf4" })).toThrow(
    'cuda does not read `quantize: "nf4"`: its kernels read whole numbers; leave it out, or load the model with `device: "cpu"`',
  );
});

for (const name of ["reference", "cpu", "tfjs"] as const) {
  test.each(quantizations)(
    `${name} holds exactly the planned bytes of %s, and a stage more while loading`,
    async (quantize) => {
      const folder = await modelFolder({ config: { hidden: 130, intermediate: 194, headDim: 10 } });
      const config = readConfig(folder);
      const device = await openDevice(name);
      const before = device.allocated().weights;
      const held = totalBytes(device.allocated());
      const peak = watch(device);
      const model = await loadModel(folder, { device, dtype: "f32", quantize });
      expect(device.allocated().weights - before).toBe(model.weights.bytes);
      const sketch = sketchDevice({ name: "plan", workspaceBytes: () => 0, computeDTypes: ["f32"] });
      const { contextTokens } = model;
      const planned = sketchModel(config, letters, { device: sketch, dtype: "f32", contextTokens, quantize });
      expect(planned.weights.bytes).toBe(model.weights.bytes);
      const plain = sketchModel(config, letters, { device: sketch, dtype: "f32", contextTokens });
      expect(planned.weights.bytes).toBeLessThan(plain.weights.bytes / 2);
      // The largest matrix as numbers, once more as codes, and what places are rounded up to.
      const largest = Math.max(...model.linears.map(({ inputs, outputs }) => inputs * outputs));
      expect(peak() - held).toBeGreaterThan(model.weights.bytes);
      expect(peak() - held).toBeLessThan(model.weights.bytes + 4 * largest + 2 * largest + 1024);
      const [site] = model.linears;
      const spec = model.weights.specs.get(`${site?.name}.weight`);
      expect(spec && isQuantized(spec.dtype)).toBe(true);
      model.dispose();
    },
  );
}

test("a matrix that comes in many pieces has the bytes of one that comes whole", async () => {
  const folder = await modelFolder({ config: { hidden: 66, intermediate: 90, headDim: 10 } });
  const device = referenceDevice();
  for (const quantize of quantizations) {
    const model = await loadModel(folder, { device, dtype: "f32", quantize });
    const file = await openCheckpoint(folder);
    const name = "model.layers.1.mlp.down_proj.weight";
    const { dtype, shape } = model.weights.specs.get(name) as { dtype: "i8"; shape: readonly number[] };
    const plain = new Float32Array((await file.tensor(name)).data.slice().buffer);
    const expected = quantizeMatrix(plain, dtype, shape);
    for (const stageBytes of [1, 4 * 90 * 7, STAGE_BYTES]) {
      const arena = device.allocate("weights", expected.length);
      const quantizer = new Quantizer(device, file, stageBytes);
      expect(await quantizer.load({ name, dtype, shape }, arena, 0)).toBeUndefined();
      quantizer.free();
      expect(await arena.read(0, expected.length)).toEqual(expected);
      arena.free();
    }
    expect(sizeOf(shape)).toBe(dequantize(expected, dtype, shape).length);
    expect((await bytesOfTensor(model, name)).subarray(0, expected.length)).toEqual(expected);
    await file.close();
    model.dispose();
  }
  expect(totalBytes(device.allocated())).toBe(0);
});

test("what a checkpoint holds that is not finite is found on the way, as in a plain model", async () => {
  const values = (spec: { readonly shape: readonly number[] }) => {
    const all = new Float32Array(sizeOf(spec.shape)).fill(0.5);
    if (spec.shape.join() === "16,24") all[30] = Number.NaN;
    return all;
  };
  const model = await tinyModel(referenceDevice(), { quantize: "int8", values });
  expect(model.weights.faults.map(({ tensor, nans, at }) => [tensor, nans, at])).toEqual([
    ["model.layers.0.mlp.down_proj.weight", 1, 30],
    ["model.layers.1.mlp.down_proj.weight", 1, 30],
  ]);
});

test("refuses a format that is none, and a matrix that does not fit it, before anything is allocated", async () => {
  const device = referenceDevice();
  await expect(loadModel(await modelFolder(), { device, quantize: "int3" as "int4" })).rejects.toThrow(
    "expected `quantize` to be one of int8, int4, nf4, got int3",
  );
  const spec = { name: "x.weight", dtype: "f32", shape: [4, 5] } as const;
  const site = { name: "x", inputs: 5, outputs: 4 };
  expect(() => quantizeSpecs([spec], [site], "nf4")).toThrow(
    'x.weight: it has shape [4, 5], expected an even number of columns for nf4; load the model with `quantize: "int8"`, or without',
  );
  expect(quantizeSpecs([spec], [site], "int8")[0]?.dtype).toBe("i8");
  expect(totalBytes(device.allocated())).toBe(0);
});
