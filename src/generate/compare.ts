// Base and tuned model side by side, from one resident copy of the base's weights.

import { categories } from "../engine/index.js";
import type { Model } from "../model/index.js";
import { renderPrompt, type Template, type TemplateName } from "../tokens/index.js";
import type { Answer, MemoryBytes, OpenSampler, Sampler } from "../train/index.js";
import type { Task } from "./generate.js";
import {
  allocateGeneration,
  checkPrompt,
  defaultNewTokens,
  type GenerateOptions,
  promptIds,
  TextGenerator,
} from "./generator.js";
import { capacityFor, type GenerationPlan, planGeneration } from "./plan.js";

export interface CompareOptions extends GenerateOptions {
  /** The template it was trained with. @default "alpaca" */
  readonly template?: TemplateName | Template | undefined;
}

/** Each prompt answered by the base and by the tuned model, with the same options. */
export async function compare(
  base: Model,
  tuned: Model,
  prompts: readonly (string | Task)[],
  { template = "alpaca", ...options }: CompareOptions = {},
): Promise<readonly Answer[]> {
  const pair = await openPair(
    base,
    tuned,
    prompts.map((prompt) => idsOf(tuned, prompt, template)),
    options.maxNewTokens,
  );
  try {
    const answers: Answer[] = [];
    for (const prompt of prompts) {
      const ids = idsOf(tuned, prompt, template);
      const said = { base: await pair.base.text(ids, options), tuned: await pair.tuned.text(ids, options) };
      answers.push({
        prompt: typeof prompt === "string" ? prompt : shownTask(prompt),
        base: said.base.trim(),
        tuned: said.tuned.trim(),
      });
    }
    return answers;
  } finally {
    await pair.dispose();
  }
}

/**
 * What a run samples with while it trains: greedy answers of base and tuned model. The base does not change, so it is asked once for
 * each prompt.
 */
export function comparisonSampler(
  model: Model,
  { template, sampleTokens }: { readonly template: TemplateName | Template; readonly sampleTokens: number },
): Sampler {
  const ids = (prompts: readonly string[]) => prompts.map((prompt) => idsOf(model, prompt, template));
  return {
    plan: async (prompts) => (await planPair(model.base, model, ids(prompts), sampleTokens)).bytes,
    async open(prompts): Promise<OpenSampler> {
      const pair = await openPair(model.base, model, ids(prompts), sampleTokens);
      const said = new Map<string, string>();
      return {
        async answer(asked, signal) {
          const answers: Answer[] = [];
          const options = { maxNewTokens: sampleTokens, signal };
          for (const prompt of asked) {
            const at = idsOf(model, prompt, template);
            const base = said.get(prompt) ?? (await pair.base.text(at, options)).trim();
            said.set(prompt, base);
            answers.push({ prompt, base, tuned: (await pair.tuned.text(at, options)).trim() });
          }
          return answers;
        },
        dispose: () => pair.dispose(),
      };
    },
  };
}

function idsOf(model: Model, prompt: string | Task, template: TemplateName | Template): readonly number[] {
  return promptIds(model, renderPrompt(template, typeof prompt === "string" ? { instruction: prompt } : prompt));
}

function shownTask({ instruction, input }: Task): string {
  return input ? `${instruction}\n${input}` : instruction;
}

interface PairPlan {
  readonly base: GenerationPlan;
  readonly tuned: GenerationPlan;
  /** Both take turns on the same memory. */
  readonly bytes: MemoryBytes;
}

/** Bytes of answering with the base and the tuned model in turns, texts of up to so many tokens: prompt and answer. Allocates nothing. */
export async function planComparison(model: Model, tokens: number): Promise<MemoryBytes> {
  return (await planBoth(model.base, model, capacityFor(model, tokens))).bytes;
}

async function planPair(
  base: Model,
  tuned: Model,
  prompts: readonly (readonly number[])[],
  newTokens: number,
): Promise<PairPlan> {
  for (const ids of prompts) checkPrompt(tuned, ids, tuned.contextTokens);
  return planBoth(base, tuned, capacityFor(tuned, Math.max(...prompts.map(({ length }) => length)) + newTokens));
}

async function planBoth(base: Model, tuned: Model, capacity: number): Promise<PairPlan> {
  const plans = { base: await planGeneration(base, capacity), tuned: await planGeneration(tuned, capacity) };
  const most = categories.map((category) => [
    category,
    Math.max(plans.base.bytes[category], plans.tuned.bytes[category]),
  ]);
  return { ...plans, bytes: Object.fromEntries(most) as MemoryBytes };
}

async function openPair(
  base: Model,
  tuned: Model,
  prompts: readonly (readonly number[])[],
  newTokens = defaultNewTokens,
) {
  const plans = await planPair(base, tuned, prompts, newTokens);
  const memory = allocateGeneration(tuned, [plans.base, plans.tuned]);
  const generators = {
    base: new TextGenerator(base, plans.base, memory, false),
    tuned: new TextGenerator(tuned, plans.tuned, memory, false),
  };
  return {
    ...generators,
    async dispose() {
      await generators.base.dispose();
      await generators.tuned.dispose();
      memory.free();
    },
  };
}
