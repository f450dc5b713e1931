import { describe, expect, test } from "vitest";
import type { TrainEvent } from "../../src/train/events.js";
import { keptIndices, SERIES_POINTS } from "../../src/widgets/series.js";
import { emptyRun, foldRun, foldRuns, secondsLeft } from "../../src/widgets/state.js";
import { describeRun } from "../../src/widgets/text.js";
import { memory, planned, updated } from "./scripted-run.js";

const story: TrainEvent[] = [
  planned(4),
  { kind: "checked", update: 0, seconds: 0, findings: [{ check: "end mark", verdict: "good", message: "trained" }] },
  { kind: "sampled", update: 0, seconds: 0, answers: [{ prompt: "a", base: "b", tuned: "b" }] },
  updated(1, 2.5),
  { kind: "evaluated", update: 1, seconds: 1, loss: 2.25, trainedTokens: 50 },
  { kind: "paused", update: 1, seconds: 1 },
  { kind: "changed", update: 1, seconds: 1, controls: { learningRate: 1e-4 } },
  { kind: "resumed", update: 1, seconds: 4 },
  updated(2, 1.5),
  {
    kind: "skipped",
    update: 2,
    seconds: 5,
    reason: "overflow",
    step: 3,
    scaleBefore: 65536,
    scaleAfter: 32768,
    tensors: [{ tensor: "a", value: "inf" }],
  },
  { kind: "evaluated", update: 2, seconds: 5, loss: 1.75, trainedTokens: 50 },
  { kind: "saved", update: 2, seconds: 5, folder: "runs/r1", what: "checkpoint" },
  { kind: "sampled", update: 2, seconds: 5, answers: [{ prompt: "a", base: "b", tuned: "c" }] },
  { kind: "stopped", update: 2, seconds: 6, reason: "asked" },
];

describe("the state of a run", () => {
  test("holds what the events said", () => {
    const state = story.reduce(foldRun, emptyRun());
    expect(state).toMatchObject({
      runId: "r1",
      status: "stopped",
      update: 2,
      seconds: 6,
      trainedTokens: 200,
      plan: { updates: 4, rows: 400, device: "cpu", memory },
      memory,
      validation: [
        { update: 1, loss: 2.25 },
        { update: 2, loss: 1.75 },
      ],
      changes: [{ update: 1, controls: { learningRate: 1e-4 } }],
      skipped: { count: 1, reason: "overflow", updates: [2] },
      lossScale: 32768,
      saved: { update: 2, folder: "runs/r1", what: "checkpoint" },
      findings: [{ check: "end mark" }],
    });
    expect(state.series).toMatchObject({ seen: 2, update: [1, 2], loss: [2.5, 1.5], gradientNorm: [1.25, 1.25] });
    expect(state.answers.first[0]!.tuned).toBe("b");
    expect(state.answers.latest[0]!.tuned).toBe("c");
  });

  test("passes through every status", () => {
    const statuses = story.map((_, i) => foldRuns(emptyRun(), story.slice(0, i + 1)).status);
    expect([...new Set(statuses)]).toEqual(["planned", "running", "paused", "stopped"]);
    const end = (event: TrainEvent) => foldRun(emptyRun(), event);
    expect(end({ kind: "stopped", update: 4, seconds: 1, reason: "finished" }).status).toBe("finished");
    expect(end({ kind: "failed", update: 4, seconds: 1, message: "loss is NaN" })).toMatchObject({
      status: "failed",
      reason: "loss is NaN",
    });
  });

  test("is not changed in place, not even by a fold that goes another way", () => {
    const before = foldRuns(emptyRun(), [planned(), updated(1, 2)]);
    const copy = structuredClone(before);
    foldRun(before, updated(2, 1));
    foldRun(before, updated(2, 9));
    expect(before).toEqual(copy);
  });

  test("is the same folded one by one or all at once, thinning included", () => {
    const events = Array.from({ length: 3 * SERIES_POINTS + 17 }, (_, i) => updated(i + 1, Math.sin(i * 12.9898) + 2));
    expect(foldRuns(emptyRun(), events)).toEqual(events.reduce(foldRun, emptyRun()));
  });

  test("keeps a loss that is not a number as null, so that it outlives JSON", () => {
    const state = foldRuns(emptyRun(), [updated(1, Number.NaN), updated(2, Number.POSITIVE_INFINITY), updated(3, 1)]);
    expect(JSON.parse(JSON.stringify(state)).series.loss).toEqual([null, null, 1]);
  });
});

describe("thinning", () => {
  test("keeps first, last, every spike and every broken value of a long run, in order", () => {
    const spikes = [777, 12_345, 40_001];
    const events = Array.from({ length: 50_000 }, (_, i) =>
      updated(i + 1, spikes.includes(i + 1) ? 50 + i : 1 + (i % 7) / 10),
    );
    events[31_000] = updated(31_001, Number.NaN);
    const { series } = foldRuns(emptyRun(), events);
    expect(series.seen).toBe(50_000);
    expect(series.update.length).toBeLessThanOrEqual(SERIES_POINTS);
    for (let from = 1; from < 50_000; from += 1000) {
      expect(series.update.filter((update) => update >= from && update < from + 1000).length).toBeGreaterThanOrEqual(8); // 20 by rights; stretches shift
    }
    expect(series.update[0]).toBe(1);
    expect(series.update.at(-1)).toBe(50_000);
    for (const spike of [...spikes, 31_001]) expect(series.update).toContain(spike);
    expect([...series.update].sort((a, b) => a - b)).toEqual(series.update);
    expect(series.loss[series.update.indexOf(31_001)]).toBeNull();
  });

  test.each([4, 5, 100, 999])("never gives more than %i points and repeats none", (points) => {
    const places = Array.from({ length: 1000 }, (_, i) => i);
    const kept = keptIndices(places, places.map(Math.cos), points);
    expect(kept.length).toBeLessThanOrEqual(points);
    expect(new Set(kept).size).toBe(kept.length);
  });
});

describe("words", () => {
  test("one sentence tells how it went", () => {
    expect(describeRun(foldRuns(emptyRun(), story))).toBe(
      "Run r1 was stopped at update 2 of 4: loss 2.500 -> 1.500 over 2 updates in 6.0 s; validation loss 2.250 -> 1.750; " +
        "1 update skipped (overflow); loss scale 32,768; 19.5 MiB of memory held.",
    );
  });

  test("a loss that rose, a best validation that was passed, a failure and a NaN are said", () => {
    const rose = foldRuns(emptyRun("x"), [
      updated(1, 1),
      updated(2, 2),
      { kind: "evaluated", update: 1, seconds: 1, loss: 0.5, trainedTokens: 1 },
      { kind: "evaluated", update: 2, seconds: 1, loss: 0.75, trainedTokens: 1 },
      { kind: "failed", update: 2, seconds: 1, message: "the loss is NaN" },
    ]);
    expect(describeRun(rose)).toContain("Run x failed at update 2 (the loss is NaN): loss 1.000 -> 2.000 (it rose)");
    expect(describeRun(rose)).toContain("validation loss 0.500 -> 0.750 (best 0.500 at update 1)");
    expect(describeRun(foldRuns(emptyRun(), [updated(1, 1), updated(2, Number.NaN)]))).toContain("1.000 -> not finite");
  });

  test("the time left is the pace of the latest updates times what is to do", () => {
    const state = foldRuns(emptyRun(), [planned(10), updated(1, 1), updated(2, 1), updated(3, 1)]);
    expect(secondsLeft(state)).toBeCloseTo(3.5, 9); // half a second each, seven to go
    const paused = foldRuns(state, [
      { ...updated(4, 1), seconds: 100 } as TrainEvent,
      { ...updated(5, 1), seconds: 100.5 } as TrainEvent,
    ]);
    expect(secondsLeft(paused)).toBeCloseTo(2.5, 9); // the long wait before update 4 was a pause
    expect(secondsLeft(emptyRun())).toBeUndefined();
  });
});
