// Learning rates, judged by transformers.get_scheduler (golden/make_schedule.py).

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { rateFactor, type Schedule, warmupUpdates } from "../../src/train/index.js";
import { expectClose } from "../close.js";

interface Case extends Schedule {
  readonly done: readonly number[];
  readonly factors: readonly number[];
}

const golden = JSON.parse(readFileSync(new URL("../golden/schedule.json", import.meta.url), "utf8")) as {
  readonly cases: readonly Case[];
};

describe("rateFactor", () => {
  test.each(golden.cases)("$scheduler over $updates updates after $warmup of warm-up is transformers'", (schedule) => {
    const factors = schedule.done.map((done) => rateFactor(schedule, done));
    expectClose(factors, schedule.factors, { absolute: 1e-12 }); // both compute in f64
  });
});

describe("warmupUpdates", () => {
  test.each([
    [{ warmupSteps: 0, warmupRatio: 0 }, 100, 0],
    [{ warmupSteps: 7, warmupRatio: 0.5 }, 100, 7],
    [{ warmupSteps: 0, warmupRatio: 0.03 }, 101, 4],
  ])("of %o in %i updates is %i, rounded up as transformers does", (options, updates, expected) => {
    expect(warmupUpdates(options, updates)).toBe(expected);
  });
});
