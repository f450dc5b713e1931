// Whether answers are exactly right: for facts, sums and other tasks with one answer.

import { capacityFor, type GenerateOptions, openGenerator, promptIds } from "../generate/index.js";
import type { Model } from "../model/index.js";
import { renderPrompt, type Template, type TemplateName } from "../tokens/index.js";

export interface ExactItem {
  readonly instruction: string;
  readonly input?: string;
  /** The one right answer; spaces around it do not count. */
  readonly output: string;
}

export interface ExactOptions extends GenerateOptions {
  /** @default "alpaca" */
  readonly template?: TemplateName | Template | undefined;
}

export interface ExactMatch {
  readonly correct: number;
  readonly total: number;
  /** correct / total */
  readonly share: number;
  /** What was answered instead. */
  readonly misses: readonly { readonly item: ExactItem; readonly answer: string }[];
}

/**
 * Ask a model each item, greedily unless the options say otherwise, and count the answers that are right to the letter.
 *
 * @throws RangeError when there are no items.
 */
export async function exactMatch(
  model: Model,
  items: readonly ExactItem[],
  { template = "alpaca", maxNewTokens = 64, ...options }: ExactOptions = {},
): Promise<ExactMatch> {
  if (items.length === 0) throw new RangeError("exactMatch: expected at least one item");
  const prompts = items.map((item) => promptIds(model, renderPrompt(template, item)));
  const longest = prompts.reduce((most, { length }) => Math.max(most, length), 0);
  const generator = await openGenerator(model, { tokens: capacityFor(model, longest + maxNewTokens) });
  const misses: { readonly item: ExactItem; readonly answer: string }[] = [];
  try {
    for (const [i, item] of items.entries()) {
      const answer = (await generator.text(prompts[i] as readonly number[], { ...options, maxNewTokens })).trim();
      if (answer !== item.output.trim()) misses.push({ item, answer });
    }
  } finally {
    await generator.dispose();
  }
  const correct = items.length - misses.length;
  return { correct, total: items.length, share: correct / items.length, misses };
}
