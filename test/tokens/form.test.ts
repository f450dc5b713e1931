// How GLM and T5 lay rows out, step by step on the example of the published code: ids, labels, positions, what sees what.

import { describe, expect, test } from "vitest";
import { IGNORED } from "../../src/engine/ops.js";
import {
  applyTemplate,
  type Batch,
  batches,
  contextOf,
  contextPlaces,
  contextRange,
  type Form,
  promptIn,
  type Tokenizer,
} from "../../src/tokens/index.js";

/** Ids written as numbers; 1 ends a text. */
const numbers: Tokenizer = {
  vocab: 130528,
  bos: undefined,
  eos: 1,
  pad: 3,
  encode: (text, { eos = false } = {}) => [...(text.match(/\d+/g) ?? []).map(Number), ...(eos ? [1] : [])],
  decode: (ids) => ids.join(" "),
  tokenText: String,
};
const row = { kind: "instruction", instruction: "5 101 102", output: "201 202" } as const;

describe("GLM", () => {
  const form = { kind: "prefix", mask: 130000, gmask: 130001, sop: 130004, eop: 130005 } as const satisfies Form;
  const encoded = applyTemplate(row, numbers, { template: "none", form });
  const [batch] = [...batches([encoded], { batchSize: 1, pad: 3, multipleOf: 10 })] as [Batch];

  test("asks with prompt, [gMASK] and <sop>", () => {
    expect(promptIn(form, numbers, "5 101 102")).toEqual([5, 101, 102, 130001, 130004]);
  });

  test("answers after <sop>, ends with <eop>, and trains from <sop> on", () => {
    expect(encoded.ids).toEqual([5, 101, 102, 130001, 130004, 201, 202, 130005]);
    expect(encoded.trained).toEqual([false, false, false, false, true, true, true, true]);
    expect(encoded.context).toEqual({ length: 4, blank: 3 });
  });

  test("labels are shifted once: [gMASK] predicts <sop>, the last token of the answer <eop>; padding predicts nothing", () => {
    const nothing = IGNORED;
    expect([...batch.labels]).toEqual([nothing, nothing, nothing, 130004, 201, 202, 130005, nothing, nothing, nothing]);
    expect([...batch.tokens].slice(8)).toEqual([3, 3]);
    expect(batch.trainedCount).toBe(4);
  });

  test("the place in the text stays at [gMASK] from <sop> on, the place in the blank counts from 1", () => {
    const pairs = Array.from({ length: 8 }, (_, t) => [...batch.positions.slice(2 * t, 2 * t + 2)]);
    expect(pairs.map(([text]) => text)).toEqual([0, 1, 2, 3, 3, 3, 3, 3]);
    expect(pairs.map(([, blank]) => blank)).toEqual([0, 0, 0, 0, 1, 2, 3, 4]);
  });

  test("the context sees itself in both directions, the answer what came before, padding nothing", () => {
    const ends = Array.from({ length: 10 }, (_, t) => batch.ranges[2 * t + 1]);
    expect(ends).toEqual([4, 4, 4, 4, 5, 6, 7, 8, 0, 0]);
  });

  test("without [gMASK] the blank is [MASK], wherever it stands", () => {
    const context = contextOf([7, 130000, 8, 130004, 9], form);
    expect(context).toEqual({ length: 3, blank: 1 });
    expect([2, 3, 4].map((t) => contextPlaces(t, context))).toEqual([
      [2, 0],
      [1, 1],
      [1, 2],
    ]);
    expect(contextRange(0, context)).toEqual([0, 3]);
    expect(() => contextOf([7, 8, 130004], form)).toThrow("found no mask");
    expect(() => contextOf([7, 130001], form)).toThrow("found no <sop>");
  });

  test("a row that ends before <sop> trains nothing", () => {
    const cut = applyTemplate(row, numbers, { template: "none", form, maxTokens: 4 });
    expect(cut.trained).toEqual([false, false, false, false]);
    expect(cut.truncated).toBe(true);
  });
});

describe("T5", () => {
  const form = { kind: "seq2seq", start: 0 } as const satisfies Form;

  test("the encoder reads the prompt with its end, the decoder begins with its start and learns the answer and its end", () => {
    const encoded = applyTemplate(row, numbers, { template: "none", form });
    expect(encoded.source).toEqual([5, 101, 102, 1]);
    expect(encoded.ids).toEqual([0, 201, 202, 1]);
    const [batch] = [...batches([encoded], { batchSize: 2, pad: 0, multipleOf: 5 })] as [Batch];
    expect([...batch.labels].slice(0, 5)).toEqual([201, 202, 1, IGNORED, IGNORED]);
    expect([...(batch.source?.tokens ?? [])].slice(0, 5)).toEqual([5, 101, 102, 1, 0]);
    const ends = (pairs: Int32Array | undefined) => Array.from({ length: 10 }, (_, t) => pairs?.[2 * t + 1]);
    expect(ends(batch.source?.ranges)).toEqual([4, 4, 4, 4, 0, 0, 0, 0, 0, 0]);
    expect(ends(batch.source?.seen)).toEqual([4, 4, 4, 4, 0, 0, 0, 0, 0, 0]);
    expect(ends(batch.ranges)).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 0, 0]);
  });

  test("a prompt that is too long keeps its end token", () => {
    const { source, truncated } = applyTemplate(row, numbers, { template: "none", form, maxTokens: 3 });
    expect(source).toEqual([5, 101, 1]);
    expect(truncated).toBe(true);
  });
});
