// Generation as the package offers it: the same as in generate/, and interrupting the notebook cell that asked ends the work too.
// Here, above the folders, because generate/ does not know widgets/.

import * as alone from "./generate/index.js";
import type { Model } from "./model/index.js";
import type { Answer } from "./train/index.js";
import { type Host, hostKey } from "./widgets/host.js";

/** Options whose signal is also aborted with the running cell. */
function inCell<T extends { readonly signal?: AbortSignal | undefined }>(options: T): T {
  const host = (globalThis as { [hostKey]?: Host })[hostKey];
  const signals = [options.signal, host?.cellSignal()].filter((signal) => signal !== undefined);
  return signals.length > 0 ? { ...options, signal: AbortSignal.any(signals) } : options;
}

/** Tokens that follow a prompt, as they come. See generate/generate.ts. */
export function generate(
  model: Model,
  prompt: string | readonly number[],
  options: alone.GenerateOptions = {},
): AsyncGenerator<alone.GeneratedToken, void, undefined> {
  return alone.generate(model, prompt, inCell(options));
}

/** The whole text that follows a prompt. */
export function generateText(
  model: Model,
  prompt: string | readonly number[],
  options: alone.GenerateOptions = {},
): Promise<string> {
  return alone.generateText(model, prompt, inCell(options));
}

/** The answer to an instruction, in the words of the template the model was trained with. */
export function answer(model: Model, task: alone.Task | string, options: alone.AnswerOptions = {}): Promise<string> {
  return alone.answer(model, task, inCell(options));
}

/** Each prompt answered by the base and by the tuned model, with the same options. */
export function compare(
  base: Model,
  tuned: Model,
  prompts: readonly (string | alone.Task)[],
  options: alone.CompareOptions = {},
): Promise<readonly Answer[]> {
  return alone.compare(base, tuned, prompts, inCell(options));
}
