// The model speaks: one prompt, its memory planned, allocated and freed around it. For many prompts see openGenerator.

import type { Model } from "../model/index.js";
import { renderPrompt, type TemplateName } from "../tokens/index.js";
import {
  checkPrompt,
  defaultNewTokens,
  type GeneratedToken,
  type GenerateOptions,
  openGenerator,
  promptIds,
} from "./generator.js";

/**
 * Tokens that follow a prompt, as they come. Greedy by default; sampled when `temperature` is above 0.
 *
 * @example for await (const { text } of generate(model, "Once upon a time")) process.stdout.write(text);
 * @throws RangeError when an option does not hold or the prompt is longer than the context; the signal's reason when it was aborted.
 */
export async function* generate(
  model: Model,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, void, undefined> {
  const ids = promptIds(model, prompt);
  checkPrompt(model, ids, model.contextTokens);
  const generator = await openGenerator(model, { tokens: ids.length + (options.maxNewTokens ?? defaultNewTokens) });
  try {
    yield* generator.generate(ids, options);
  } finally {
    await generator.dispose();
  }
}

/** The whole text that follows a prompt. */
export async function generateText(
  model: Model,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): Promise<string> {
  let text = "";
  for await (const token of generate(model, prompt, options)) text += token.text;
  return text;
}

export interface Task {
  readonly instruction: string;
  readonly input?: string;
}

export interface AnswerOptions extends GenerateOptions {
  /** The template it was trained with. @default "alpaca" */
  readonly template?: TemplateName | undefined;
}

/** The answer to an instruction, in the words of the template the model was trained with. */
export async function answer(
  model: Model,
  task: Task | string,
  { template = "alpaca", ...options }: AnswerOptions = {},
): Promise<string> {
  const asked = typeof task === "string" ? { instruction: task } : task;
  return (await generateText(model, renderPrompt(template, asked), options)).trim();
}
