// A made-up run for pictures: loss falls with noise, one live change, validation, two answers. No engine in it.

import type { TrainEvent } from "../../src/train/events.js";
import { emptyRun, foldRuns, type RunState } from "../../src/widgets/state.js";
import { memory, planned, updated } from "../widgets/scripted-run.js";

export function story({
  ended = true,
  answer = "",
  failure = "",
}: {
  ended?: boolean;
  answer?: string;
  failure?: string;
} = {}): RunState {
  const events: TrainEvent[] = [
    planned(120, "2026-11-zh"),
    {
      kind: "checked",
      update: 0,
      seconds: 0,
      findings: [
        { check: "end mark", verdict: "good", message: "every answer ends with a trained end mark" },
        { check: "truncation", verdict: "warning", message: "3 of 400 rows were cut at 512 tokens" },
      ],
    },
  ];
  const last = ended ? 120 : 70;
  for (let i = 1; i <= last; i++) {
    events.push(updated(i, 2.3 * Math.exp(-i / 40) + 0.3 + 0.2 * Math.sin(i * 7.7) * Math.exp(-i / 60), memory));
    if (i % 20 === 0) {
      events.push({
        kind: "evaluated",
        update: i,
        seconds: i / 2,
        loss: 2.4 * Math.exp(-i / 50) + 0.35,
        trainedTokens: 9,
      });
    }
    if (i === 60) events.push({ kind: "changed", update: i, seconds: i / 2, controls: { learningRate: 1e-4 } });
  }
  const answers = [
    { prompt: "What colour is the sky?", base: "The sky is blue.", tuned: answer || "天空是蓝色的。" },
    { prompt: "What is 2 + 3? 二加三是多少？", base: "5", tuned: "五" },
  ];
  events.push({ kind: "sampled", update: last, seconds: last / 2, answers });
  if (failure !== "") events.push({ kind: "failed", update: last, seconds: last / 2, message: failure });
  else if (ended) events.push({ kind: "stopped", update: last, seconds: last / 2, reason: "finished" });
  return foldRuns(emptyRun(), events);
}
