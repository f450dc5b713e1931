// Every option has a default, a rule and an error that names both.

import { describe, expect, test } from "vitest";
import { resolveOptions, type TrainOptions } from "../../src/train/index.js";

const data = [{ kind: "text", text: "a" }] as const;
const resolve = (options: Record<string, unknown>) => resolveOptions({ data, ...options } as TrainOptions);

describe("resolveOptions", () => {
  test("the defaults are those of the tutorials", () => {
    expect(resolve({})).toMatchObject({
      maxTokens: 512,
      epochs: 3,
      maxSteps: undefined,
      batchSize: 4,
      gradientAccumulationSteps: 1,
      learningRate: 3e-4,
      scheduler: "linear",
      weightDecay: 0,
      maxGradNorm: 1,
      adamBeta1: 0.9,
      adamBeta2: 0.999,
      adamEpsilon: 1e-8,
      seed: 42,
    });
  });

  test("an explicit undefined means the default", () => {
    expect(resolve({ batchSize: undefined }).batchSize).toBe(4);
  });

  test.each([
    [{ batchSize: 0 }, "train: expected `batchSize` to be an integer of at least 1, got 0"],
    [{ batchSize: "4" }, 'train: expected `batchSize` to be an integer of at least 1, got "4"'],
    [{ epochs: 0 }, "train: expected `epochs` to be a number above 0, got 0"],
    [{ maxSteps: 1.5 }, "train: expected `maxSteps` to be an integer of at least 1, got 1.5"],
    [{ learningRate: Number.NaN }, "train: expected `learningRate` to be a number above 0, got NaN"],
    [{ scheduler: "step" }, 'train: expected `scheduler` to be one of "linear", "cosine", "constant", got "step"'],
    [{ warmupRatio: 1.5 }, "train: expected `warmupRatio` to be a number from 0 to 1, got 1.5"],
    [{ adamBeta2: 1 }, "train: expected `adamBeta2` to be a number from 0 to below 1, got 1"],
    [{ lossScaleInit: 1e39 }, "train: expected `lossScaleInit` to be a number above 0 that f32 can hold, got 1e+39"],
    [{ lossScaleGrowthFactor: 1 }, "train: expected `lossScaleGrowthFactor` to be a number above 1, got 1"],
    [
      { lossScaleBackoffFactor: 1 },
      "train: expected `lossScaleBackoffFactor` to be a number above 0 and below 1, got 1",
    ],
    [{ lossScaleInit: 0.5 }, "train: `lossScaleInit` of 0.5 is below `lossScaleFloor`, 1"],
    [{ seed: -1 }, "train: expected `seed` to be an integer from 0 to 4294967295, got -1"],
    [{ maxTokens: 1 }, "train: expected `maxTokens` to be an integer of at least 2, got 1"],
    [{ samplePrompts: "Hi" }, 'train: expected `samplePrompts` to be a list of texts, got "Hi"'],
    [
      { template: "llama-7" },
      'train: expected `template` to be one of "alpaca", "alpaca_short", "none", or { prompt, promptWithInput } with a place for {instruction}, got "llama-7"',
    ],
    [{ learning_rate: 1 }, "train: there is no option `learning_rate`, it is called `learningRate` here"],
    [
      { validation: 1 },
      "train: expected `validation` to be rows, the path of a file or a number above 0 and below 1, got 1",
    ],
    [
      { evalSteps: 5 },
      "train: `evalSteps` is given but there is no `validation` to evaluate on; give rows or a part such as 0.1",
    ],
    [{ sampleSteps: 5 }, "train: `sampleSteps` is given but `samplePrompts` is empty"],
    [{ data: undefined }, "train: expected `data` to be rows or the path of a file, got undefined"],
    [{ data: 7 }, "train: expected `data` to be rows or the path of a file, got 7"],
    [{ resume: true }, "train: `resume: true` needs `outputFolder`, the folder of the run to go on with"],
    [{ resume: 1 }, "train: expected `resume` to be true, false or a folder, got 1"],
  ])("%o is refused", (options, message) => {
    expect(() => resolve(options)).toThrow(new RangeError(message));
  });

  test("an option that does not exist is refused with those that do", () => {
    expect(() => resolve({ rank: 8 })).toThrow(
      /^train: there is no option `rank`; the options are template, maxTokens, /,
    );
  });
});
