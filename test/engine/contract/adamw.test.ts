// AdamW on every device against steps computed by PyTorch (test/golden/make_adamw.py), and its refusal to write what is not finite.

import { readFileSync } from "node:fs";
import { describe, test } from "vitest";
import { sizeOf } from "../../../src/engine/dtype.js";
import { expectClose } from "../../close.js";
import { runOne } from "./build.js";
import { onEveryDevice } from "./devices.js";

interface Golden {
  readonly torch: string;
  readonly shapes: readonly (readonly number[])[];
  readonly factors: readonly number[];
  readonly cases: readonly {
    readonly options: Readonly<Record<"beta1" | "beta2" | "eps" | "decay" | "clipNorm" | "gradScale", number>>;
    readonly start: readonly number[][];
    readonly steps: readonly {
      readonly learningRate: number;
      readonly gradients: readonly number[][];
      readonly norm: number;
      readonly param: readonly number[][];
      readonly m: readonly number[][];
      readonly v: readonly number[][];
    }[];
  }[];
}

const golden = JSON.parse(readFileSync(new URL("../../golden/adamw.json", import.meta.url), "utf8")) as Golden;

/** Both sides round to f32 after every operation, in about the same order, six times over. */
const tolerance = { absolute: 1e-6, relative: 1e-5 };

onEveryDevice((device) => {
  describe.each(golden.cases)("AdamW with $options", ({ options, start, steps }) => {
    const { beta1, beta2, eps, decay, clipNorm, gradScale } = options;
    test(`six steps over two tensors equal those of PyTorch ${golden.torch}`, async () => {
      const state = golden.shapes.map((shape, i) => ({
        param: Float64Array.from(start[i]),
        m: new Float64Array(sizeOf(shape)),
        v: new Float64Array(sizeOf(shape)),
      }));
      for (const [index, { learningRate, gradients, norm, ...expected }] of steps.entries()) {
        let total = Float64Array.of(0);
        for (const [i, shape] of golden.shapes.entries()) {
          const operands = { x: { shape, data: gradients[i] }, total: { shape: [1], data: total } };
          total = (await runOne(device, { op: "sumSquares", operands }))["total"] as Float64Array<ArrayBuffer>;
        }
        expectClose(Math.sqrt(total[0]) * gradScale, norm, { relative: 1e-6 }, "norm");
        for (const [i, shape] of golden.shapes.entries()) {
          const next = await runOne(device, {
            op: "adamw",
            operands: {
              grad: { shape, data: gradients[i] },
              total: { shape: [1], data: total },
              param: { shape, data: state[i].param },
              m: { shape, data: state[i].m },
              v: { shape, data: state[i].v },
            },
            attrs: { beta1, beta2, eps, decay, rateFactor: golden.factors[i] },
            uniforms: { learningRate, step: index + 1, gradScale, clipNorm },
          });
          for (const name of ["param", "m", "v"] as const) {
            expectClose(next[name], expected[name][i], tolerance, `step ${index + 1} tensor ${i} ${name}`);
            state[i][name] = next[name] as Float64Array<ArrayBuffer>;
          }
        }
      }
    });
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("writes nothing when the total is %f", async (total) => {
    const shape = [5];
    const before = { param: [1, -2, 3, -4, 5], m: [0.1, 0.2, 0.3, 0.4, 0.5], v: [1, 2, 3, 4, 5] };
    const after = await runOne(device, {
      op: "adamw",
      operands: {
        grad: { shape, data: [1, Number.NaN, 1, 1, 1] },
        total: { shape: [1], data: [total] },
        param: { shape, data: before.param },
        m: { shape, data: before.m },
        v: { shape, data: before.v },
      },
      attrs: { beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.1, rateFactor: 1 },
      uniforms: { learningRate: 0.1, clipNorm: 1 },
    });
    for (const [name, values] of Object.entries(before)) expectClose(after[name], values.map(Math.fround), {}, name);
  });

  test("a gradient that overflows f32 when squared makes the total infinite, not some other number", async () => {
    const operands = { x: { shape: [3], data: [1, 1e25, 2] }, total: { shape: [1], data: [0] } };
    expectClose((await runOne(device, { op: "sumSquares", operands }))["total"], [Number.POSITIVE_INFINITY], {});
  });
});
