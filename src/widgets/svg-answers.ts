// Answers before and after training, side by side. Model output is text here: measured, wrapped and escaped. A part of svg.ts.

import type { RunState } from "./state.js";
import { ink, label, MARGIN, type Part, WIDTH } from "./svg-part.js";
import { wrap } from "./svg-text.js";

const SIZE = 13;
const LINE = 19;
const GAP = 20;
const COLUMN = (WIDTH - 2 * MARGIN - GAP) / 2;
/** A picture is a glance: the rest of a long answer is in the cell that printed it. */
const MOST = { prompts: 4, promptLines: 2, answerLines: 6 } as const;

/** The latest answers of the tuned model beside the base model's; nothing before the first sample. */
export function drawAnswers(state: RunState): Part {
  const { latest, update } = state.answers;
  if (latest.length === 0) return { markup: "", height: 0 };
  const right = MARGIN + COLUMN + GAP;
  const parts = [
    label(MARGIN, 12, "Answers", { weight: 600 }),
    label(MARGIN, 34, "before (base)", { size: 11, fill: ink.muted }),
    label(right, 34, `after (update ${update})`, { size: 11, fill: ink.muted }),
  ];
  let y = 44;
  for (const { prompt, base, tuned } of latest.slice(0, MOST.prompts)) {
    const asked = wrap(prompt, WIDTH - 2 * MARGIN - 20, SIZE, MOST.promptLines);
    const before = wrap(base, COLUMN - 16, SIZE, MOST.answerLines);
    const after = wrap(tuned, COLUMN - 16, SIZE, MOST.answerLines);
    const height = 16 + Math.max(before.length, after.length) * LINE;
    asked.forEach((text, i) => {
      parts.push(label(MARGIN, y + 14 + i * LINE, text, { size: SIZE, weight: 600 }));
    });
    y += asked.length * LINE + 4;
    parts.push(
      `<rect x="${MARGIN}" y="${y}" width="${COLUMN}" height="${height}" rx="4" fill="#f6f8fa"/>`,
      `<rect x="${right}" y="${y}" width="${COLUMN}" height="${height}" rx="4" fill="#eaf5ec"/>`,
    );
    before.forEach((text, i) => {
      parts.push(label(MARGIN + 8, y + 21 + i * LINE, text, { size: SIZE }));
    });
    after.forEach((text, i) => {
      parts.push(label(right + 8, y + 21 + i * LINE, text, { size: SIZE }));
    });
    y += height + 10;
  }
  if (latest.length > MOST.prompts) {
    parts.push(label(MARGIN, y + 12, `and ${latest.length - MOST.prompts} more`, { size: 11, fill: ink.muted }));
    y += 18;
  }
  return { markup: parts.join(""), height: y - 6 };
}
