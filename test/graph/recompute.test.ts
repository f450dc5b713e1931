// What is computed again in the backward instead of kept: the same bits, less memory.

import { describe, expect, test } from "vitest";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { add, differentiate, embedding, headLoss, linear, Trace } from "../../src/graph/index.js";
import type { TrainedTensors } from "../../src/model/trained.js";
import { lossOf, withAdapters } from "../model/batch-loss.js";
import { tinyModel } from "../model/tiny.js";

const config = { layers: 4 };

async function gradientsWith(recompute: (scope: string) => boolean) {
  const device = referenceDevice();
  const model = await withAdapters(device, await tinyModel(device, { config }));
  const { run, program } = await lossOf(device, model, { recompute });
  const { gradient, loss } = await run();
  const gradients: number[] = [loss];
  for (const tensor of (model.trained as TrainedTensors).list) gradients.push(...(await gradient(tensor)));
  return { gradients, bytes: program.arenaBytes.activations, ops: program.ops.length };
}

describe("recomputation", () => {
  test("of feed-forwards, of whole layers, and of some of each gives the kept run's gradients to the bit", async () => {
    const kept = await gradientsWith(() => false);
    expect(kept.gradients.every(Number.isFinite)).toBe(true);
    const choices = [
      (scope: string) => scope.endsWith(".mlp"),
      (scope: string) => /^layers\.\d+$/.test(scope),
      (scope: string) => scope === "layers.1" || scope === "layers.2.mlp",
    ];
    for (const choice of choices) {
      const again = await gradientsWith(choice);
      expect(again.gradients).toEqual(kept.gradients);
      expect(again.ops).toBeGreaterThan(kept.ops);
      expect(again.bytes).toBeLessThan(kept.bytes);
    }
  });

  test("of the layer before the loss leaves out what the backward does not read", async () => {
    const device = referenceDevice();
    const model = await withAdapters(device, await tinyModel(device, { config }));
    const { program } = await lossOf(device, model, { recompute: (scope) => scope.endsWith(".mlp") });
    // Seven linears a layer and an inner product for each; of the second round only gate, up and the inner product of down.
    const linears = program.ops.filter((op) => op.op === "linear").length;
    expect(linears).toBe(4 * (14 + 5));
  });
});

test("a sum that an op reads is not added to in place", () => {
  const trace = new Trace({ activations: "f32" });
  const x = embedding(trace.parameter("e", "f32", [4, 8], { trained: true }), trace.input("ids", "i32", [3]));
  const y = add(x, linear(x, trace.parameter("w", "f32", [8, 8])));
  const { totals } = headLoss(y, trace.parameter("head", "f32", [4, 8]), trace.input("labels", "i32", [3]));
  trace.output("totals", totals);
  differentiate(trace, totals);
  const product = trace.nodes.find((node) => node.op === "linearInput");
  expect(product?.outputs[0]).not.toBe(product?.inputs[0]);
});
