// Training in f16: its losses are those of f32, updates that overflow leave no trace, and what cannot be computed in it is named.

import { rmSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { referenceDevice } from "../../src/engine/reference/index.js";
import type { Model } from "../../src/model/index.js";
import { train } from "../../src/train/index.js";
import { expectClose } from "../close.js";
import { onEveryDevice } from "../engine/contract/devices.js";
import { seededValues } from "../model/tiny.js";
import { eventsOf, refusalOf, tinyLora, tinyOptions, trainTiny } from "./tiny-run.js";

async function valuesOf({ trained }: Model): Promise<number[]> {
  const all: number[] = [];
  for (const { name } of trained?.list ?? []) all.push(...((await trained?.read(name)) ?? []));
  return all;
}

onEveryDevice((device, name) => {
  const usable = name !== "reference" && name !== "cuda-sim" && device.info.computeDTypes.includes("f16");
  const half = () => tinyLora({ rank: 8, dropout: 0.1 }, { dtype: "f16" }, device);

  describe.runIf(usable)(
    "in f16 (skipped on the slow reference and the simulated GPU, and where a device does not compute in it)",
    () => {
      test("30 losses follow those of f32", async () => {
        const options = { maxSteps: 30, learningRate: 1e-2, batchSize: 9 };
        const losses = async (dtype: "f32" | "f16") => {
          const run = await trainTiny(await tinyLora({ rank: 8 }, { dtype }, device), options);
          return eventsOf(run, "updated").map(({ loss }) => loss);
        };
        const [exact, scaled] = [await losses("f32"), await losses("f16")];
        expect(exact.at(-1)).toBeLessThan((exact[0] as number) * 0.7);
        // 11 bits against 24: each loss is off by about 2^-11 of the activations, and 30 updates carry that on.
        expectClose(scaled, exact, { relative: 5e-3 });
      });

      test("a scale that is far too high is halved until it fits, and what comes of it is the run that began there, bit for bit", async () => {
        const options = { maxSteps: 6, warmupSteps: 2, gradientAccumulationSteps: 2 };
        const high = await half();
        const run = await trainTiny(high, { ...options, lossScaleInit: 2 ** 40 });
        const skipped = eventsOf(run, "skipped");
        expect(skipped.length).toBeGreaterThan(10);
        skipped.forEach((event, i) => {
          expect(event).toMatchObject({
            scaleBefore: 2 ** (40 - i),
            scaleAfter: 2 ** (39 - i),
            step: event.update + 1,
          });
          expect(event.tensors.length).toBeGreaterThan(0);
          for (const { tensor, value } of event.tensors) {
            expect(high.trained?.find(tensor)).toBeDefined();
            expect(["inf", "NaN"]).toContain(value);
          }
        });
        expect(skipped[0]?.reason).toMatch(
          /^the gradients of \d+ tensors overflow, such as ".*" \((inf|NaN)\) in f16 at a loss scale of 1099511627776; tried again at 549755813888$/,
        );
        const fits = skipped.at(-1)?.scaleAfter as number;
        const low = await half();
        const calm = await trainTiny(low, { ...options, lossScaleInit: fits });
        expect(eventsOf(calm, "skipped")).toEqual([]);
        expect(await valuesOf(high)).toEqual(await valuesOf(low));
        const told = (of: typeof run) =>
          eventsOf(of, "updated").map(({ update, loss, learningRate, gradientNorm, epoch }) => {
            return { update, loss, learningRate, gradientNorm, epoch };
          });
        expect(told(run)).toEqual(told(calm));
        expect((await run.finished).updates).toBe(6);
      });

      test("the norm that is told and clipped is that of the gradients without the scale", async () => {
        const norms = async (lossScaleInit: number) => {
          const model = await half();
          const run = await trainTiny(model, { maxSteps: 3, lossScaleInit, maxGradNorm: 0.01 });
          return {
            norms: eventsOf(run, "updated").map(({ gradientNorm }) => gradientNorm),
            values: await valuesOf(model),
          };
        };
        const [one, other] = [await norms(2 ** 6), await norms(2 ** 9)];
        expectClose(other.norms, one.norms, { relative: 2e-3 });
        expectClose(other.values, one.values, { absolute: 2e-4 });
      });

      test("a run that is resumed goes on with its scale, and tells each skipped update once, bit for bit", async () => {
        const highest = await trainTiny(await half(), { maxSteps: 1, lossScaleInit: 2 ** 40 });
        const lossScaleInit = eventsOf(highest, "updated")[0]?.lossScale as number;
        const options = { maxSteps: 5, saveSteps: 2, saveTotalLimit: 9, lossScaleInit, lossScaleGrowthInterval: 2 };
        const whole = await half();
        const first = await trainTiny(whole, options);
        const told = (run: typeof first) => [
          ...eventsOf(run, "updated").map(({ update, lossScale }) => `updated ${update} at ${lossScale}`),
          ...eventsOf(run, "skipped").map(({ update, scaleBefore }) => `skipped ${update} at ${scaleBefore}`),
        ];
        expect(told(first)).toContain(`skipped 2 at ${2 * lossScaleInit}`); // grown after two updates, it is too high again: after the checkpoint
        for (const step of [4, 5]) rmSync(path.join(first.folder, "checkpoints", `step-${step}`), { recursive: true });
        const broken = await half();
        const second = await trainTiny(broken, { ...options, outputFolder: first.folder, resume: true });
        expect(told(second)).toEqual(told(first));
        expect(await valuesOf(broken)).toEqual(await valuesOf(whole));
      });

      test("ends when a gradient overflows at the lowest scale, naming tensors and the way out", async () => {
        const highest = await trainTiny(await half(), { maxSteps: 1, lossScaleInit: 2 ** 40 });
        const scale = eventsOf(highest, "updated")[0]?.lossScale as number;
        const options = {
          lossScaleInit: scale,
          lossScaleFloor: scale,
          lossScaleGrowthInterval: 2,
          lossScaleBackoffFactor: 0.25,
        };
        const run = train(await half(), tinyOptions(options));
        expect(await refusalOf(run.finished)).toMatch(
          new RegExp(
            '^train: update 3 overflows however low the loss is scaled: the gradients? of .*"model\\..*" .*in f16 at a loss scale of ' +
              `${2 * scale}, and \`lossScaleFloor\` is ${scale}; load the model with \`dtype: "bf16"\`, which has the range of f32`,
          ),
        );
        expect(eventsOf(run, "skipped")).toHaveLength(1);
      });
    },
  );
});

const wide = "model.layers.1.mlp.up_proj.weight";

/** A model whose feed-forward makes numbers beyond 65504, of weights below it. */
const overflowing = (dtype: "f16" | "bf16") =>
  tinyLora(
    {},
    {
      dtype,
      values(spec, at) {
        const values = seededValues(spec, at);
        return spec.name === wide ? values.map((value) => value * 30_000) : values;
      },
    },
    referenceDevice(),
  );

describe("a run in f16", () => {
  test("ends when the scale falls below its floor, naming tensors and the way out", async () => {
    const run = train(
      await tinyLora({}, { dtype: "f16" }),
      tinyOptions({ lossScaleInit: 2 ** 40, lossScaleFloor: 2 ** 38 }),
    );
    expect(await refusalOf(run.finished)).toMatch(
      /^train: refused before the first update: gradients: the gradient of "model\..*" is not finite on the first batch/,
    );
  });

  test("whose forward overflows names the op and its matrix, and trains in bf16", async () => {
    const run = train(await overflowing("f16"), tinyOptions());
    expect(await refusalOf(run.finished)).toMatch(
      new RegExp(
        `^train: the loss of update 1 is NaN: the first result that is not finite is that of linear with "${wide}": -?Infinity at \\d+ of ` +
          "\\[32, 24\\], on rows \\d+, \\d+; weights and trained tensors are finite, so activations of this llama overflow f16, which ends at 65504; " +
          'load the model with `dtype: "bf16"`, which has the range of f32',
      ),
    );
    const other = await trainTiny(await overflowing("bf16"));
    expect((await other.finished).reason).toBe("finished");
  });

  test("says in its certificate what the loss is scaled with", async () => {
    const found = async (dtype: "f16" | "bf16", options: Parameters<typeof tinyOptions>[0]) => {
      const run = await trainTiny(await tinyLora({}, { dtype }), { ...options, maxSteps: 1 });
      return eventsOf(run, "checked")[0]?.findings.find(({ check }) => check === "loss scale");
    };
    expect(await found("f16", {})).toMatchObject({
      verdict: "good",
      message: "65536, at which no gradient of the first batch overflows",
    });
    expect(await found("f16", { lossScaleInit: 2 ** 40 })).toMatchObject({
      verdict: "warning",
      message:
        /^1099511627776, but gradients of the first batch overflow down to \d+: the first updates will be skipped/,
    });
    expect(await found("bf16", {})).toMatchObject({ verdict: "good", message: "none: bf16 holds small gradients" });
    expect(await found("bf16", { lossScaleInit: 8 })).toMatchObject({
      verdict: "warning",
      message: "lossScaleInit have no effect: the model computes in bf16, not in f16",
    });
  });
});
