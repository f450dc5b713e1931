// A run's summary in a terminal.

import { describe, expect, test } from "vitest";
import { places, runSummary, sideBySide } from "../../src/cli/summary.js";
import type { MemoryBytes, TrainEvent } from "../../src/train/events.js";
import { emptyRun, foldRun, type RunState } from "../../src/widgets/state.js";

const memory = (weights: number): MemoryBytes => ({
  weights,
  trained: 0,
  gradients: 0,
  optimizer: 0,
  activations: 0,
  workspace: 0,
  cache: 0,
  io: 0,
});

const planned: TrainEvent = {
  kind: "planned",
  update: 0,
  seconds: 0,
  runId: "r1",
  updates: 10,
  rows: 40,
  validationRows: 0,
  trainedParameters: 100,
  memory: memory(2048),
  device: "cpu",
  dtype: "f32",
};

const updated = (update: number, loss: number): TrainEvent => ({
  kind: "updated",
  update,
  seconds: update * 2,
  loss,
  learningRate: 1e-3,
  gradientNorm: 1,
  trainedTokens: 10,
  tokens: 20,
  tokensPerSecond: 1234.4,
  epoch: 0,
  memory: memory(2048),
});

const fold = (...events: TrainEvent[]): RunState => events.reduce(foldRun, emptyRun());

describe("runSummary", () => {
  test("says loss first to last, memory planned and held, and both answers", () => {
    const state = fold(planned, updated(1, 3), updated(2, 0.5), {
      kind: "sampled",
      update: 2,
      seconds: 5,
      answers: [{ prompt: "Say hello.", base: "hello", tuned: "你好" }],
    });
    const text = runSummary(state, 3072, 60);
    expect(text).toContain("loss            3.000 -> 0.500  (2 updates, 5.0 s)");
    expect(text).toContain("peak memory     planned 2.00 KiB, actual 3.00 KiB");
    expect(text).toMatch(/question +base +tuned/);
    expect(text).toMatch(/Say hello\. +hello +你好/);
  });
});

describe("sideBySide", () => {
  test("wraps between words, and Chinese between any two letters, so that columns stay in line", () => {
    const lines = sideBySide(["a", "b"], [["one two three four", "一二三四五六七"]], 26);
    expect(lines).toEqual([
      "  a           b",
      "  ----------  ----------",
      "  one two     一二三四五",
      "  three four  六七",
    ]);
  });

  test("breaks a word that is wider than its column", () => {
    expect(sideBySide(["a"], [["abcdefghijklm"]], 14)).toEqual(["  a", "  ----------", "  abcdefghij", "  klm"]);
  });

  test("a Chinese letter takes two places, a Latin one takes one", () => {
    expect(places("ab你好")).toBe(6);
  });
});
