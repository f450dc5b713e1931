// Loss on rows and exact answers, judged by the probabilities of single tokens and by hand.

import { describe, expect, test } from "vitest";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { evaluateLoss, exactMatch } from "../../src/evaluate/index.js";
import { generateText } from "../../src/generate/index.js";
import type { TensorSpec } from "../../src/model/index.js";
import type { Tokenizer } from "../../src/tokens/index.js";
import { expectClose } from "../close.js";
import { letters, seededValues, tinyModel } from "../model/tiny.js";
import { eventsOf, refusalOf, tinyLora, tinyOptions, trainTiny } from "../train/tiny-run.js";

/** Reads what the tiny model's tokenizer writes: token i is the letter 63 + i. */
const capitals: Tokenizer = {
  ...letters,
  encode: (text, { bos = false, eos = false } = {}) => [
    ...(bos ? [1] : []),
    ...[...text].map((letter) => (letter.codePointAt(0) as number) - 63),
    ...(eos ? [2] : []),
  ],
};

describe("evaluateLoss", () => {
  test("of a model whose scores are all equal is ln(vocab) per answer token, and its perplexity the vocabulary", async () => {
    const flat = (spec: TensorSpec, at: number) => {
      const values = seededValues(spec, at);
      return spec.name === "lm_head.weight" ? values.fill(0) : values;
    };
    const device = referenceDevice();
    const model = await tinyModel(device, { values: flat });
    const before = device.allocated();
    const rows = [
      { instruction: "ab", output: "abc" },
      { instruction: "a", output: "a" },
      { instruction: "abcd", output: "ab" },
    ];
    const found = await evaluateLoss(model, rows as never, { template: "none", batchSize: 2 });
    expectClose(found.loss, Math.log(24), { absolute: 1e-6 });
    expectClose(found.perplexity, 24, { absolute: 1e-4 });
    expect(found).toMatchObject({ tokens: 3 + 1 + 2 + 3, rows: 3 }); // each answer with its end mark
    expect(device.allocated()).toEqual(before);
  });

  test("is what a run evaluates to on the same rows", async () => {
    const model = await tinyLora();
    const validation = [{ kind: "instruction", instruction: "ace", output: "eca" }] as const;
    const run = await trainTiny(model, { validation, maxSteps: 3 });
    const { loss } = await evaluateLoss(model, validation, { template: "none", maxTokens: 16 });
    expectClose(loss, eventsOf(run, "evaluated").at(-1)?.loss as number, { absolute: 1e-6 });
    const base = await evaluateLoss(model.base, validation, { template: "none", maxTokens: 16 });
    expectClose(base.loss, eventsOf(run, "evaluated")[0]?.loss as number, { absolute: 1e-6 });
  });

  test("refuses rows of which no token counts", async () => {
    const rows = [{ instruction: "abcdefghijkl", output: "a" }];
    const model = await tinyModel(referenceDevice());
    expect(await refusalOf(evaluateLoss(model, rows as never, { template: "none", maxTokens: 8 }))).toBe(
      "evaluateLoss: no token of the 1 rows counts; raise maxTokens or set trainPrompt",
    );
  });
});

describe("exactMatch", () => {
  test("counts answers that are right to the letter and shows the others", async () => {
    const model = await tinyModel(referenceDevice());
    const options = { template: "none", maxNewTokens: 4 } as const;
    const said = (await generateText(model, "abc", { maxNewTokens: 4 })).trim();
    const items = [
      { instruction: "abc", output: ` ${said} ` },
      { instruction: "abc", output: `${said}!` },
    ];
    expect(await exactMatch(model, items, options)).toEqual({
      correct: 1,
      total: 2,
      share: 0.5,
      misses: [{ item: items[1], answer: said }],
    });
    expect(await refusalOf(exactMatch(model, [], options))).toBe("exactMatch: expected at least one item");
  });

  test("rises when the answers are trained", async () => {
    const model = await tinyLora({ rank: 8 }, { tokenizer: capitals });
    const items = [
      { instruction: "C", output: "D" },
      { instruction: "D", output: "E" },
    ];
    const options = { template: "none", maxNewTokens: 4 } as const;
    const before = await exactMatch(model, items, options);
    await trainTiny(model, { ...tinyOptions(), data: items as never, maxSteps: 40, learningRate: 0.05 });
    expect((await exactMatch(model, items, options)).correct).toBe(2);
    expect(before.correct).toBeLessThan(2);
  });
});
