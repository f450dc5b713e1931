// A run in a terminal: one line that moves while it trains, and what it came to at the end. A view of RunState, like a widget.

import { type Options, SingleBar } from "cli-progress";
import { formatBytes, formatCount, formatSeconds, formatValue, totalBytes } from "../widgets/format.js";
import { hasEnded, type RunState, secondsLeft } from "../widgets/state.js";

/** Where a terminal is watched by nobody, a line this often, in milliseconds. */
const LINE_MS = 5000;

/** What the moving line says, from a state; every value is a text already. */
export interface ProgressLine {
  readonly loss: string;
  readonly rate: string;
  readonly memory: string;
  readonly left: string;
}

export function progressLine(state: RunState): ProgressLine {
  const { loss, tokensPerSecond } = state.series;
  const held = state.memory ?? state.plan?.memory;
  const left = secondsLeft(state);
  return {
    loss: loss.length > 0 ? formatValue(loss.at(-1)) : "-",
    rate: tokensPerSecond.length > 0 ? formatCount(tokensPerSecond.at(-1) ?? Number.NaN) : "-",
    memory: held ? formatBytes(totalBytes(held)) : "-",
    left: left === undefined ? "-" : formatSeconds(left),
  };
}

/** Draws states on stderr. Where stderr is no terminal, it prints a line every five seconds instead of redrawing one. */
export class RunProgress {
  readonly #bar: SingleBar;
  #started = false;
  #peakBytes = 0;

  constructor(options: Pick<Options, "stream"> = {}) {
    this.#bar = new SingleBar({
      stream: process.stderr,
      ...options,
      format: "  [{bar}] step {value}/{total}  loss {loss}  {rate} tok/s  {memory}  {left} left",
      barsize: 24,
      barCompleteChar: "#",
      barIncompleteChar: ".",
      noTTYOutput: true,
      notTTYSchedule: LINE_MS,
      emptyOnZero: true,
      // `left` comes from the run's own pace; the bar's estimate is not used.
      etaBuffer: 1,
    });
  }

  /** Most bytes held at any state seen. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Draw this state. The first one with a plan puts the bar up, one that has ended takes it down. */
  show(state: RunState): void {
    if (state.memory) this.#peakBytes = Math.max(this.#peakBytes, totalBytes(state.memory));
    if (!state.plan) return;
    const line = progressLine(state);
    if (!this.#started && !hasEnded(state.status)) {
      this.#bar.start(state.plan.updates, state.update, line);
      this.#started = true;
    } else if (this.#started) {
      this.#bar.update(state.update, line);
    }
    if (hasEnded(state.status)) this.stop();
  }

  /** Leave the line as it is and go to the next. */
  stop(): void {
    if (this.#started) this.#bar.stop();
    this.#started = false;
  }
}

/** What a run came to, for people: loss first to last, memory planned and held, answers of base and tuned side by side. */
export function runSummary(state: RunState, peakBytes: number, columns = 100): string {
  const { loss } = state.series;
  const lines = [
    `  loss            ${formatValue(loss[0])} -> ${formatValue(loss.at(-1))}  (${formatCount(state.series.seen)} updates, ${formatSeconds(state.seconds)})`,
  ];
  if (state.plan) {
    lines.push(
      `  peak memory     planned ${formatBytes(totalBytes(state.plan.memory))}, actual ${formatBytes(peakBytes)}`,
    );
  }
  const answers = state.answers.latest.map(({ prompt, base, tuned }) => [prompt, base, tuned] as const);
  if (answers.length > 0) lines.push("", ...sideBySide(["question", "base", "tuned"], answers, columns));
  return lines.join("\n");
}

/** Rows of texts as columns of equal width, wrapped; letters of Chinese, Japanese and Korean take two places of a terminal. */
export function sideBySide(head: readonly string[], rows: readonly (readonly string[])[], columns: number): string[] {
  const width = Math.max(10, Math.floor((columns - 2) / head.length) - 2);
  const draw = (cells: readonly string[]) => {
    const wrapped = cells.map((cell) => wrap(cell, width));
    const height = Math.max(...wrapped.map((lines) => lines.length));
    return Array.from({ length: height }, (_, i) =>
      `  ${wrapped.map((lines) => pad(lines[i] ?? "", width)).join("  ")}`.trimEnd(),
    );
  };
  return [head, head.map(() => "-".repeat(width)), ...rows].flatMap(draw);
}

/** Places a text takes in a terminal. */
export function places(text: string): number {
  let count = 0;
  for (const letter of text) count += wide.test(letter) ? 2 : 1;
  return count;
}

/** Scripts drawn two places wide, their punctuation, and full-width forms (Unicode Standard Annex 11, class W, in its large blocks). */
const wide = /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff01-\uff60]/u;

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - places(text)));
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const piece of paragraph.match(/\s+|[^\s\p{Script=Han}]+|\p{Script=Han}/gu) ?? []) {
      if (line !== "" && places(line + piece) > width) {
        lines.push(line.trimEnd());
        line = "";
      }
      for (const letter of line === "" ? piece.trimStart() : piece) {
        if (places(line + letter) > width) {
          lines.push(line);
          line = "";
        }
        line += letter;
      }
    }
    lines.push(line);
  }
  return lines;
}
