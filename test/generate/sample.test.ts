// Which token is chosen: kept tokens and their probabilities are transformers' (golden/make_sampling.py).

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { checkSampling, sampleToken } from "../../src/generate/sample.js";
import { expectClose } from "../close.js";

interface Case {
  readonly temperature: number;
  readonly topK: number | null;
  readonly topP: number;
  readonly probabilities: readonly number[];
}

const golden = JSON.parse(readFileSync(new URL("../golden/sampling.json", import.meta.url), "utf8")) as {
  readonly scores: readonly number[];
  readonly logprobs: readonly number[];
  readonly cases: readonly Case[];
};
const scores = Float32Array.from(golden.scores);

describe("sampleToken", () => {
  test("takes the likeliest token at temperature 0, the first of equals", () => {
    expect(sampleToken(scores, {}, 0).id).toBe(3);
    expect(sampleToken(Float32Array.of(1, 5, 5, 2), {}, 0).id).toBe(1);
  });

  test.each(golden.cases)(
    "temperature $temperature, topK $topK, topP $topP leaves transformers' tokens with their probabilities",
    ({ temperature, topK, topP, probabilities }) => {
      const draws = 20_000;
      const counts = new Array(scores.length).fill(0) as number[];
      for (let position = 0; position < draws; position++) {
        const { id } = sampleToken(scores, { temperature, topK: topK ?? undefined, topP, seed: 7 }, position);
        counts[id] = (counts[id] as number) + 1;
      }
      for (const [id, p] of probabilities.entries()) {
        const error = 4 * Math.sqrt((p * (1 - p)) / draws); // four standard errors of a share
        expect(Math.abs((counts[id] as number) / draws - p), `token ${id}`).toBeLessThanOrEqual(error);
      }
    },
  );

  test("its logprob is the model's own, whatever the sampling", () => {
    for (let position = 0; position < 20; position++) {
      const { id, logprob } = sampleToken(scores, { temperature: 2, topK: 5 }, position);
      expectClose(logprob, golden.logprobs[id] as number, { absolute: 1e-6 }); // scores are f32
    }
  });

  test("the same seed and position choose the same token, other seeds do not all", () => {
    const draw = (seed: number) =>
      [...Array(32).keys()].map((at) => sampleToken(scores, { temperature: 1, seed }, at).id);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  test("a NaN or an infinite best score is an error, not a token", () => {
    expect(() => sampleToken(Float32Array.of(1, Number.NaN), {}, 0)).toThrow(
      "generate: the score of token 1 is NaN; look for NaN among the weights",
    );
    expect(() => sampleToken(Float32Array.of(1, Number.POSITIVE_INFINITY), {}, 0)).toThrow(
      "generate: the best score is Infinity; look for infinite numbers among the weights",
    );
  });
});

test.each([
  [{ temperature: -1 }, "generate: expected `temperature` to be a number of at least 0, got -1"],
  [{ topK: 0 }, "generate: expected `topK` to be an integer of at least 1, got 0"],
  [{ topP: 0 }, "generate: expected `topP` to be a number above 0 and at most 1, got 0"],
  [{ seed: 1.5 }, "generate: expected `seed` to be an integer from 0 to 4294967295, got 1.5"],
])("sampling with %o is refused", (options, message) => {
  expect(() => checkSampling(options)).toThrow(message);
});
