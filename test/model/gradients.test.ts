// The whole chain rule at once: gradients of a two-layer Llama against central differences of its loss, in f64.

import { describe, expect, test } from "vitest";
import type { Device } from "../../src/engine/index.js";
import { dequantize, isQuantized, quantize as quantizeMatrix } from "../../src/engine/quantized.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import type { Model } from "../../src/model/model.js";
import { quantizations } from "../../src/model/quantize.js";
import type { TensorSpec } from "../../src/model/resident.js";
import { type TrainedTensor, TrainedTensors } from "../../src/model/trained.js";
import { expectClose } from "../close.js";
import { lossOf, trainedTokens, withAdapters } from "./batch-loss.js";
import { seededValues, tinyModel } from "./tiny.js";

async function expectFiniteDifferences(device: Device, model: Model, step = 2 ** -6): Promise<void> {
  const trained = model.trained as TrainedTensors;
  const { run } = await lossOf(device, model);
  const { gradient, totals } = await run();
  expect(totals[1]).toBe(trainedTokens);
  const analytic = new Map<string, Float32Array>();
  for (const tensor of trained.list) analytic.set(tensor.name, await gradient(tensor));
  for (const tensor of trained.list) {
    const values = await trained.read(tensor.name);
    const found = analytic.get(tensor.name) as Float32Array;
    // Where the gradient is largest, and one fixed place.
    const steepest = found.reduce(
      (best, value, i) => (Math.abs(value) > Math.abs(found[best] as number) ? i : best),
      0,
    );
    for (const at of [steepest, values.length >> 1]) {
      const shifted = async (by: number) => {
        const moved = values.slice();
        moved[at] = (values[at] as number) + by;
        await trained.write(tensor.name, moved);
        return (await run()).loss;
      };
      // Fourth order, so that the step can be large against the rounding of what is read back.
      const [near, far] = [
        (await shifted(step)) - (await shifted(-step)),
        (await shifted(2 * step)) - (await shifted(-2 * step)),
      ];
      await trained.write(tensor.name, values);
      expectClose(
        found[at],
        (8 * near - far) / (12 * step),
        { absolute: 4e-4, relative: 1e-3 },
        `${tensor.name}[${at}]`,
      );
    }
  }
}

const save = async () => undefined;

describe("gradients of a whole Llama", () => {
  test("of adapters on every linear layer equal central differences", async () => {
    const device = referenceDevice({ exact: true });
    await expectFiniteDifferences(device, await withAdapters(device, await tinyModel(device)));
  });

  test.each(quantizations)("of adapters on a base in %s equal central differences", async (quantize) => {
    const device = referenceDevice({ exact: true });
    // One of the slopes is steep and bends: a shorter step.
    await expectFiniteDifferences(device, await withAdapters(device, await tinyModel(device, { quantize })), 2 ** -8);
  });

  test.each(quantizations)(
    "of adapters on a base in %s are those on the numbers its codes stand for",
    async (quantize) => {
      const gradientsOn = async (base: Model) => {
        const model = await withAdapters(base.device, base);
        const { gradient, loss } = await (await lossOf(base.device, model)).run();
        return { loss, gradients: await Promise.all((model.trained as TrainedTensors).list.map(gradient)) };
      };
      const device = referenceDevice({ exact: true });
      const coarse = await tinyModel(device, { quantize });
      const values = (spec: TensorSpec, at: number) => {
        const { dtype } = coarse.weights.specs.get(spec.name) as TensorSpec;
        const plain = seededValues(spec, at);
        return isQuantized(dtype) ? dequantize(quantizeMatrix(plain, dtype, spec.shape), dtype, spec.shape) : plain;
      };
      const [found, expected] = [await gradientsOn(coarse), await gradientsOn(await tinyModel(device, { values }))];
      expect(found).toEqual(expected);
      const fine = await gradientsOn(await tinyModel(device));
      expect(found.loss).not.toBe(fine.loss);
    },
  );

  test.each([
    { tied: false, qkvBias: false, family: "llama" },
    { tied: true, qkvBias: true, family: "qwen2" },
  ] as const)("of all weights equal central differences (tied head $tied, biases $qkvBias)", async (config) => {
    const device = referenceDevice({ exact: true });
    const base = await tinyModel(device, { config });
    const specs = [...base.weights.specs.values()].filter((spec) => !spec.values);
    const list = specs.map(({ name, shape }): TrainedTensor => ({ name, shape, decay: shape.length > 1 }));
    const read = async ({ name, shape }: TrainedTensor) => {
      const place = base.weights.placements.get(name) as { offset: number };
      return new Float32Array(
        (
          await base.weights.arena.read(
            place.offset,
            shape.reduce((a, b) => a * b, 4),
          )
        ).slice().buffer,
      );
    };
    const trained = await TrainedTensors.create(device, list, read, { save });
    await expectFiniteDifferences(device, base.withTrained(trained));
  });
});
