// A merged model gets its name only when it says what the adapter said: written, opened again, asked the same. Here, above the folders,
// because adapter/ does not know generate/. The writing is adapter/merge.ts.

import { mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { AdapterError, type MergedOptions, writeMerged } from "./adapter/index.js";
import { openGenerator, promptIds } from "./generate/index.js";
import { loadModel, type Model } from "./model/index.js";

export interface MergeOptions extends MergedOptions {
  /** The folder to make. It must not be there, or be empty. */
  readonly into: string;
  /**
   * Largest difference of a score (logit) between the merged model and the one with the adapter that is still accepted.
   * @default 0.01 in f32, 0.5 in 16 bits, where each merged weight is rounded once more: a choice, not a bound
   */
  readonly threshold?: number | undefined;
  /** Texts that both are asked to go on from. @default a few that any model can */
  readonly prompts?: readonly string[] | undefined;
}

export interface MergeReport {
  readonly folder: string;
  /** Largest difference of any score after any prompt and any token of its answer. */
  readonly largestDifference: number;
  readonly answers: readonly { readonly prompt: string; readonly text: string; readonly same: boolean }[];
}

const defaultPrompts = ["Once upon a time", "### Instruction:\nSay hello.\n\n### Response:\n", "1 2 3"];
const ANSWER_TOKENS = 16;

/**
 * Put an adapter into its base and write the result as a model folder, in safetensors, with the base's config and tokenizer.
 *
 * It is written under another name, opened again on the same device, and compared: scores after every prompt and after every token of
 * the adapter's greedy answer, and the answers themselves, which may part only where two tokens score within the threshold. Both models are in memory meanwhile.
 *
 * @throws AdapterError when the merged model says something else than the adapter, or the folder is taken; nothing is left then.
 */
export async function mergeAdapter(
  model: Model,
  { into, threshold = model.dtype === "f32" ? 0.01 : 0.5, prompts = defaultPrompts, ...options }: MergeOptions,
): Promise<MergeReport> {
  if (!model.trained) throw new RangeError(`mergeAdapter: "${model.name}" has no adapter; load or attach one first`);
  if (!(threshold >= 0))
    throw new RangeError(`mergeAdapter: expected \`threshold\` to be a number from 0, got ${threshold}`);
  if (prompts.length === 0) throw new RangeError("mergeAdapter: expected at least one prompt to compare with");
  const folder = path.resolve(into);
  if ((await readdir(folder).catch(() => [])).length > 0)
    throw new AdapterError(folder, "there is something here already: give `into` a folder that is not there");
  await mkdir(path.dirname(folder), { recursive: true });
  const beside = `${folder}.${process.pid}.part`;
  try {
    await writeMerged(model, beside, options);
    const report = await compareWith(model, beside, prompts);
    if (!(report.largestDifference <= threshold)) {
      throw new AdapterError(
        folder,
        `not written: merged weights give scores that differ by ${report.largestDifference} from the adapter's, more than ${threshold}`,
      );
    }
    const apart = report.answers.find(({ same, margin }) => !same && margin > 2 * threshold);
    if (apart)
      throw new AdapterError(
        folder,
        `not written: after ${JSON.stringify(apart.prompt)} the merged model goes on otherwise`,
      );
    await rm(folder, { recursive: true, force: true });
    await rename(beside, folder);
    const answers = report.answers.map(({ prompt, text, same }) => ({ prompt, text, same }));
    return { folder, largestDifference: report.largestDifference, answers };
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

interface Comparison {
  readonly largestDifference: number;
  /** `margin`: by how much the adapter preferred its token where the answers part. */
  readonly answers: readonly { prompt: string; text: string; same: boolean; margin: number }[];
}

async function compareWith(model: Model, folder: string, prompts: readonly string[]): Promise<Comparison> {
  const { device, dtype, contextTokens, tokenizer } = model;
  const merged = await loadModel(folder, { device, dtype, contextTokens });
  let largestDifference = 0;
  const answers: Comparison["answers"][number][] = [];
  try {
    for (const prompt of prompts) {
      const start = promptIds(model, prompt).slice(0, Math.max(1, contextTokens - ANSWER_TOKENS - 1));
      const tokens = Math.min(contextTokens, start.length + ANSWER_TOKENS + 1);
      const [a, b] = [await openGenerator(model, { tokens }), await openGenerator(merged, { tokens })];
      try {
        const ids = [...start];
        let [same, margin] = [true, 0];
        while (ids.length < tokens - 1) {
          const [said, says] = [await a.scores(ids), await b.scores(ids)];
          for (const [i, score] of said.entries()) {
            const difference = Math.abs(score - (says[i] as number));
            largestDifference = Math.max(largestDifference, Number.isNaN(difference) ? Infinity : difference);
          }
          const [best, other] = [largestAt(said), largestAt(says)];
          if (best !== other && same) [same, margin] = [false, (said[best] as number) - (said[other] as number)];
          ids.push(best);
          if (best === tokenizer.eos) break;
        }
        answers.push({ prompt, text: tokenizer.decode(ids.slice(start.length)), same, margin });
      } finally {
        await a.dispose();
        await b.dispose();
      }
    }
  } finally {
    merged.dispose();
  }
  return { largestDifference, answers };
}

function largestAt(scores: Float32Array): number {
  let at = 0;
  for (const [i, score] of scores.entries()) if (score > (scores[at] as number)) at = i;
  return at;
}
