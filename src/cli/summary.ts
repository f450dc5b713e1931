// What a run came to, for people in a terminal: loss first to last, memory, answers of base and tuned side by side.

import { formatBytes, formatCount, formatSeconds, formatValue, totalBytes } from "../widgets/format.js";
import type { RunState } from "../widgets/state.js";

/**
 * Some lines about a run.
 *
 * @param peakBytes - Most bytes held at any update, as the device counted them.
 * @param columns - Width of the terminal.
 */
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
