// Asks held-out questions and counts exactly right answers. Used by main.ts, and by the tests of the committed tutor.

import { openGenerator } from "../../../src/generate/index.js";
import type { Model } from "../../../src/model/index.js";
import { renderPrompt } from "../../../src/tokens/index.js";
import type { Exercise } from "./world/world.js";

/** The template the tutor is trained with: Alpaca's headings alone, since its context is short. */
export const TEMPLATE = "alpaca_short";

/** Longest row of the world in tokens, answer and marks included. */
export const MAX_TOKENS = 32;

export interface Mark {
  readonly about: string;
  readonly asked: number;
  readonly right: number;
}

export interface ExamResult {
  /** By kind of question, in the order they first came. */
  readonly marks: readonly Mark[];
  readonly asked: number;
  readonly right: number;
  /** Questions answered wrongly, with what was said. */
  readonly wrong: readonly { readonly exercise: Exercise; readonly said: string }[];
}

/** Greedy answers to all exercises, compared to the only right one character by character. */
export async function examine(model: Model, exercises: readonly Exercise[]): Promise<ExamResult> {
  const counts = new Map<string, { asked: number; right: number }>();
  const wrong: { exercise: Exercise; said: string }[] = [];
  const generator = await openGenerator(model, { tokens: 2 * MAX_TOKENS });
  try {
    for (const exercise of exercises) {
      const count = counts.get(exercise.about) ?? { asked: 0, right: 0 };
      counts.set(exercise.about, count);
      const said = await generator.text(renderPrompt(TEMPLATE, exercise), { maxNewTokens: 16 });
      count.asked += 1;
      if (said === exercise.output) count.right += 1;
      else wrong.push({ exercise, said });
    }
  } finally {
    await generator.dispose();
  }
  const marks = [...counts].map(([about, count]) => ({ about, ...count }));
  return { marks, asked: exercises.length, right: exercises.length - wrong.length, wrong };
}

/** "97.3 %" */
export function percent(right: number, asked: number): string {
  return `${((100 * right) / asked).toFixed(1)} %`;
}
