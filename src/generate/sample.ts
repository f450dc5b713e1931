// Scores become the next token. Pure: the same scores, options and position give the same token everywhere.

import { uniformAt } from "../engine/random.js";

export interface SampleOptions {
  /** 0 takes the likeliest token; 1 samples as the model says; above 1 flatter. @default 0 */
  readonly temperature?: number | undefined;
  /** Sample among this many of the likeliest tokens. @default all */
  readonly topK?: number | undefined;
  /** Sample among the likeliest tokens that together have at least this probability. @default 1 */
  readonly topP?: number | undefined;
  /** @default 42 */
  readonly seed?: number | undefined;
}

export interface Sampled {
  readonly id: number;
  /** Natural log of the probability the model gives it, at temperature 1 and before topK and topP. */
  readonly logprob: number;
}

/** @throws RangeError naming the option, its rule and the value. */
export function checkSampling({ temperature = 0, topK, topP = 1, seed = 42 }: SampleOptions): void {
  const check = (holds: boolean, name: string, rule: string, value: unknown) => {
    if (!holds) throw new RangeError(`generate: expected \`${name}\` to be ${rule}, got ${String(value)}`);
  };
  check(Number.isFinite(temperature) && temperature >= 0, "temperature", "a number of at least 0", temperature);
  check(topK === undefined || (Number.isInteger(topK) && topK >= 1), "topK", "an integer of at least 1", topK);
  check(topP > 0 && topP <= 1, "topP", "a number above 0 and at most 1", topP);
  check(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32, "seed", "an integer from 0 to 4294967295", seed);
}

/**
 * Choose a token, in the order of transformers: temperature, topK, topP, then one uniform number from (seed, position).
 * Of equal scores the lower id wins.
 *
 * @param scores - Logits [vocab].
 * @param position - Place of the new token in the text; each has a random number of its own.
 * @throws RangeError when a score is NaN or no score is finite.
 * @see Holtzman et al. 2020, section 3, for topP.
 */
export function sampleToken(scores: Float32Array, options: SampleOptions, position: number): Sampled {
  const { temperature = 0, topK, topP = 1, seed = 42 } = options;
  let best = 0;
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id] as number;
    if (Number.isNaN(score))
      throw new RangeError(`generate: the score of token ${id} is NaN; look for NaN among the weights`);
    if (score > (scores[best] as number)) best = id;
  }
  const top = scores[best] as number;
  if (!Number.isFinite(top))
    throw new RangeError(`generate: the best score is ${top}; look for infinite numbers among the weights`);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - top);
  const chosen =
    temperature === 0 ? best : draw(scores, { temperature, topK, topP }, top, uniformAt(seed, position, SAMPLE));
  return { id: chosen, logprob: (scores[chosen] as number) - top - Math.log(sum) };
}

/** Sets these random numbers apart from other uses of the same seed. */
const SAMPLE = 0x73616d70;

function draw(
  scores: Float32Array,
  { temperature, topK, topP }: { temperature: number; topK: number | undefined; topP: number },
  top: number,
  uniform: number,
): number {
  const weights = Float64Array.from(scores, (score) => Math.exp((score - top) / temperature));
  let ids = Uint32Array.from(scores, (_, id) => id);
  if ((topK !== undefined && topK < ids.length) || topP < 1) {
    ids.sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
    ids = ids.subarray(0, topK ?? ids.length);
  }
  let total = 0;
  for (const id of ids) total += weights[id] as number;
  if (topP < 1) {
    let [count, sum] = [0, 0];
    while (count < ids.length && sum < topP * total) sum += weights[ids[count++] as number] as number;
    ids = ids.subarray(0, Math.max(1, count));
    total = sum;
  }
  let rest = uniform * total;
  for (const id of ids) {
    rest -= weights[id] as number;
    if (rest < 0) return id;
  }
  return ids.at(-1) as number;
}
