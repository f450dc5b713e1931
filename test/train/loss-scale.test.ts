// The scale of the loss, held to torch.amp.GradScaler, and what overflows are called.

import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import {
  describeOverflows,
  firstLossScale,
  gradientUniforms,
  type LossScale,
  nextLossScale,
  overflowsOf,
} from "../../src/train/loss-scale.js";
import { trainOptions } from "../../src/train/options.js";
import { expectClose } from "../close.js";

interface Series {
  readonly name: string;
  readonly options: {
    readonly init_scale?: number;
    readonly growth_factor?: number;
    readonly backoff_factor?: number;
    readonly growth_interval?: number;
  };
  readonly states: readonly (LossScale & {
    readonly overflowed: boolean;
    readonly scaleBefore: number;
    readonly learningRate: number;
    readonly step: number;
  })[];
}

const golden = path.join(import.meta.dirname, "..", "golden", "loss_scale.json");
const { series } = JSON.parse(readFileSync(golden, "utf8")) as { series: readonly Series[] };

test.each(series)("$name: scale and growth tracker are GradScaler's after every update", ({ options, states }) => {
  const rule = {
    lossScaleGrowthFactor: options.growth_factor ?? trainOptions.lossScaleGrowthFactor.default,
    lossScaleBackoffFactor: options.backoff_factor ?? trainOptions.lossScaleBackoffFactor.default,
    lossScaleGrowthInterval: options.growth_interval ?? trainOptions.lossScaleGrowthInterval.default,
  };
  let now = firstLossScale({ lossScaleInit: options.init_scale ?? trainOptions.lossScaleInit.default });
  expect(now.scale).toBe(states[0]?.scaleBefore);
  let made = 0;
  for (const { overflowed, scale, growthTracker, learningRate, step } of states) {
    // Of the schedule 1 - made / updates: a skipped update moves neither it nor the optimizer's count of steps.
    expectClose(learningRate, 1 - made / states.length, { absolute: 1e-12 });
    if (!overflowed) made += 1;
    expect(step).toBe(made);
    now = nextLossScale(now, overflowed, rule);
    expect(now).toEqual({ scale, growthTracker });
  }
});

describe("uniforms", () => {
  test("scale the mean loss, and take scale and tokens out again", () => {
    expect(gradientUniforms(8, 1024)).toEqual({ lossScale: 128, gradScale: 1 / 1024 });
  });

  test("without a scale leave the summed loss as it is", () => {
    expect(gradientUniforms(8, undefined)).toEqual({ lossScale: 1, gradScale: 1 / 8 });
  });
});

test("tensors that overflow are named with what they hold", () => {
  const overflows = overflowsOf(["a", "b", "c"], [1, Infinity, Number.NaN]);
  expect(overflows).toEqual([
    { tensor: "b", value: "inf" },
    { tensor: "c", value: "NaN" },
  ]);
  expect(describeOverflows(overflows)).toBe('the gradients of 2 tensors overflow, such as "b" (inf)');
  expect(describeOverflows(overflows.slice(1))).toBe('the gradient of "c" (NaN) overflows');
  expect(describeOverflows([])).toBe("the global norm of the gradients overflows");
});
