// A run's state, small enough to live in a notebook file. What is left out is said: series.seen, and "…" where text was cut.

import type { Answer } from "../train/events.js";
import { keptIndices, type Sample, thin } from "./series.js";
import type { RunState } from "./state.js";

/** Together below 120 kB of JSON whatever a run says, which leaves room for the picture drawn from it. */
const most = { points: 500, validation: 200, changes: 100, findings: 20, answers: 8, text: 320 } as const;

/** The state with series thinned, numbers at six digits, long lists and texts cut. Plain JSON. */
export function snapshot(state: RunState): RunState {
  const series = thin(state.series, most.points);
  return {
    ...state,
    reason: cut(state.reason),
    series: {
      seen: series.seen,
      update: series.update,
      seconds: series.seconds.map(short),
      loss: series.loss.map(short),
      learningRate: series.learningRate.map(short),
      gradientNorm: series.gradientNorm.map(short),
      tokensPerSecond: series.tokensPerSecond.map(short),
    },
    validation: keptIndices(
      state.validation.map((point) => point.update),
      state.validation.map((point) => point.loss),
      most.validation,
    ).map((i) => state.validation[i]!),
    changes: state.changes.slice(-most.changes),
    findings: state.findings.slice(0, most.findings).map((finding) => ({ ...finding, message: cut(finding.message) })),
    answers: {
      first: state.answers.first.slice(0, most.answers).map(cutAnswer),
      latest: state.answers.latest.slice(0, most.answers).map(cutAnswer),
      update: state.answers.update,
    },
    skipped: {
      ...state.skipped,
      reason: cut(state.skipped.reason),
      updates: state.skipped.updates.slice(-most.changes),
    },
  };
}

function short<T extends Sample>(value: T): T {
  return value === null ? value : (Number(value.toPrecision(6)) as T);
}

function cutAnswer({ prompt, base, tuned }: Answer): Answer {
  return { prompt: cut(prompt), base: cut(base), tuned: cut(tuned) };
}

/** At most `most.text` characters and three bytes of JSON for each; cut between characters, never inside a surrogate pair. */
function cut(text: string): string {
  let [kept, characters, bytes] = ["", 0, 0];
  for (const character of text) {
    characters += 1;
    bytes += jsonBytes(character.codePointAt(0)!);
    if (characters > most.text || bytes > 3 * most.text) return `${kept}…`;
    kept += character;
  }
  return text;
}

/** Bytes of a code point in a JSON string: control characters and halves of pairs are written \uXXXX. */
function jsonBytes(code: number): number {
  if (code < 0x20 || (code >= 0xd800 && code <= 0xdfff)) return 6;
  if (code < 0x80) return code === 0x22 || code === 0x5c ? 2 : 1;
  return code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}
