// What a widget knows of a run: a pure fold of its events, so that a saved log replays to the same picture.
// Free of node modules: the browser folds the same events. Drawn by svg.ts, worded by text.ts, sent by mime.ts.

import type { Answer, Controls, Finding, MemoryBytes, TrainEvent } from "../train/events.js";
import { appendRows, emptySeries, finite, type Sample, type Series, type SeriesRow } from "./series.js";

export type RunStatus = "waiting" | "planned" | "running" | "paused" | "finished" | "stopped" | "failed";

export interface RunPlan {
  readonly updates: number;
  readonly rows: number;
  readonly validationRows: number;
  readonly trainedParameters: number;
  readonly device: string;
  readonly dtype: string;
  readonly memory: MemoryBytes;
}

export interface RunState {
  readonly runId: string;
  readonly status: RunStatus;
  /** Why it failed, or was stopped; empty otherwise. */
  readonly reason: string;
  /** Undefined until the run has planned its memory. */
  readonly plan?: RunPlan;
  /** Updates made so far. */
  readonly update: number;
  readonly epoch: number;
  /** Since the run began. */
  readonly seconds: number;
  readonly trainedTokens: number;
  /** Bytes held at the last update. */
  readonly memory?: MemoryBytes;
  readonly series: Series;
  readonly validation: readonly { readonly update: number; readonly loss: Sample }[];
  readonly changes: readonly { readonly update: number; readonly controls: Controls }[];
  readonly findings: readonly Finding[];
  /** Answers before the first update, where the run sampled that early, and the latest ones. */
  readonly answers: { readonly first: readonly Answer[]; readonly latest: readonly Answer[]; readonly update: number };
  /** Updates skipped because gradients overflowed f16: how often, the latest reason, and after which updates. */
  readonly skipped: { readonly count: number; readonly reason: string; readonly updates: readonly number[] };
  /** What the loss is multiplied with now; in f16 only. */
  readonly lossScale?: number;
  readonly saved?: { readonly update: number; readonly folder: string; readonly what: "checkpoint" | "adapter" };
}

/** A run nobody has heard from yet. */
export function emptyRun(runId = ""): RunState {
  return {
    runId,
    status: "waiting",
    reason: "",
    update: 0,
    epoch: 0,
    seconds: 0,
    trainedTokens: 0,
    series: emptySeries,
    validation: [],
    changes: [],
    findings: [],
    answers: { first: [], latest: [], update: 0 },
    skipped: { count: 0, reason: "", updates: [] },
  };
}

/** True when no event can follow. */
export function hasEnded(status: RunStatus): boolean {
  return status === "finished" || status === "stopped" || status === "failed";
}

/** Fold one event into the state. Pure: the state given is not changed. */
export function foldRun(before: RunState, event: TrainEvent): RunState {
  return foldRuns(before, [event]);
}

/** Fold events in order; the same as one by one, and in time linear in their number. */
export function foldRuns(before: RunState, events: readonly TrainEvent[]): RunState {
  let state = before;
  const rows: SeriesRow[] = [];
  for (const event of events) {
    state = step(state, event);
    if (event.kind === "updated") rows.push(rowOf(event));
  }
  return rows.length === 0 ? state : { ...state, series: appendRows(before.series, rows) };
}

function rowOf(event: Extract<TrainEvent, { kind: "updated" }>): SeriesRow {
  return {
    update: event.update,
    seconds: event.seconds,
    loss: finite(event.loss),
    learningRate: finite(event.learningRate),
    gradientNorm: finite(event.gradientNorm),
    tokensPerSecond: finite(event.tokensPerSecond),
  };
}

/** Everything but the series, which grows apart. */
function step(before: RunState, event: TrainEvent): RunState {
  const state: RunState = { ...before, update: event.update, seconds: event.seconds };
  switch (event.kind) {
    case "planned": {
      const { updates, rows, validationRows, trainedParameters, device, dtype, memory } = event;
      const plan: RunPlan = { updates, rows, validationRows, trainedParameters, device, dtype, memory };
      return { ...state, runId: event.runId, status: "planned", plan };
    }
    case "checked":
      return { ...state, findings: event.findings };
    case "updated":
      return {
        ...state,
        status: before.status === "paused" ? "paused" : "running",
        epoch: event.epoch,
        trainedTokens: before.trainedTokens + event.trainedTokens,
        memory: event.memory,
        ...(event.lossScale === undefined ? {} : { lossScale: event.lossScale }),
      };
    case "skipped": {
      const { count, updates } = before.skipped;
      const marks = updates.at(-1) === event.update ? updates : [...updates, event.update];
      return {
        ...state,
        skipped: { count: count + 1, reason: event.reason, updates: marks },
        lossScale: event.scaleAfter,
      };
    }
    case "evaluated":
      return { ...state, validation: [...before.validation, { update: event.update, loss: finite(event.loss) }] };
    case "sampled": {
      const first = before.answers.first.length > 0 ? before.answers.first : event.answers;
      return { ...state, answers: { first, latest: event.answers, update: event.update } };
    }
    case "saved":
      return { ...state, saved: { update: event.update, folder: event.folder, what: event.what } };
    case "changed":
      return { ...state, changes: [...before.changes, { update: event.update, controls: event.controls }] };
    case "paused":
      return { ...state, status: "paused" };
    case "resumed":
      return { ...state, status: "running" };
    case "stopped":
      return event.reason === "finished"
        ? { ...state, status: "finished" }
        : { ...state, status: "stopped", reason: event.reason };
    case "failed":
      return { ...state, status: "failed", reason: event.message };
    default:
      return event satisfies never;
  }
}

/** Latest updates whose pace tells what is to come. */
const PACE_UPDATES = 20;

/** Seconds until the last planned update at the median pace of the latest ones, which a pause does not change; undefined before. */
export function secondsLeft(state: RunState): number | undefined {
  const { update, seconds } = state.series;
  const last = update.length - 1;
  if (!state.plan || last < 1 || hasEnded(state.status)) return undefined;
  const paces: number[] = [];
  for (let i = Math.max(1, last - PACE_UPDATES + 1); i <= last; i++) {
    paces.push((seconds[i]! - seconds[i - 1]!) / Math.max(1, update[i]! - update[i - 1]!));
  }
  paces.sort((a, b) => a - b);
  return Math.max(0, state.plan.updates - state.update) * paces[paces.length >> 1]!;
}
