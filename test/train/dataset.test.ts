// What may stand for the rows of a run.

import { expect, test } from "vitest";
import { eventsOf, tinyLora, trainTiny } from "./tiny-run.js";

test("plain objects are rows by their fields, and give the losses that the same rows give", async () => {
  const losses = async (data: readonly Readonly<Record<string, unknown>>[]) =>
    eventsOf(await trainTiny(await tinyLora(), { data }), "updated").map(({ loss }) => loss);
  const texts = ["abc", "bcd", "cde"].map((text) => ({ question: text, answer: [...text].reverse().join("") }));
  const plain = await losses(texts.map(({ question, answer }) => ({ instruction: question, output: answer })));
  const named = await losses(texts.map(({ question, answer }) => ({ prompt: question, response: answer })));
  const rows = await losses(
    texts.map(({ question, answer }) => ({ kind: "instruction", instruction: question, output: answer })),
  );
  expect(plain).toHaveLength(4);
  expect(plain.every(Number.isFinite)).toBe(true);
  expect(named).toEqual(plain);
  expect(rows).toEqual(plain);
});
