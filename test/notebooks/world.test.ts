// The tutor's little world: nothing held out is trained on, the lesson's files are what the world writes, and the tokenizer reads it all.

import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { lessonFiles } from "../../notebooks/models/make/lesson.js";
import { heldOutExercises, trainingRows } from "../../notebooks/models/make/world/world.js";
import { rows } from "../../src/data/index.js";
import { applyTemplate, loadTokenizer } from "../../src/tokens/index.js";

const notebooks = path.resolve(import.meta.dirname, "../../notebooks");
const data = (name: string) => path.join(notebooks, "data", name);
const tutor = path.join(notebooks, "models/tiny-tutor");
const asked = ({ instruction, input = "" }: { readonly instruction: string; readonly input?: string }) =>
  `${instruction}\n${input}`;

describe("the world", () => {
  test("never trains on a question that is held out", () => {
    const trained = new Set(trainingRows(30_000, 7).flatMap((row) => (row.kind === "instruction" ? [asked(row)] : [])));
    const heldOut = heldOutExercises(100, 7);
    expect(heldOut.length).toBeGreaterThan(1000);
    expect(heldOut.filter((exercise) => trained.has(asked(exercise)))).toEqual([]);
  });

  test("asks each held-out question once, in both languages", () => {
    const heldOut = heldOutExercises(100, 7);
    expect(new Set(heldOut.map(asked)).size).toBe(heldOut.length);
    for (const language of ["en", "zh"]) {
      expect(heldOut.filter((exercise) => exercise.language === language).length).toBeGreaterThan(300);
    }
  });

  test("gives sums, differences and comparisons their right answers", () => {
    const worked = trainingRows(5000, 3).flatMap((row) =>
      row.kind === "instruction" ? [/^(\d+) ([-+]) (\d+) = \?$/.exec(row.instruction)?.concat(row.output)] : [],
    );
    const sums = worked.filter((match) => match !== undefined);
    expect(sums.length).toBeGreaterThan(50);
    for (const [, a, sign, b, answer] of sums) {
      expect(Number(answer)).toBe(sign === "+" ? Number(a) + Number(b) : Number(a) - Number(b));
    }
  });

  test("writes the same rows for the same seed, and others for another", () => {
    expect(trainingRows(50, 7)).toEqual(trainingRows(50, 7));
    expect(trainingRows(50, 8)).not.toEqual(trainingRows(50, 7));
  });
});

describe("the lesson of notebook 01", () => {
  test.each([...lessonFiles()])("%s is what the world writes", (name, content) => {
    expect(readFileSync(data(name), "utf8")).toBe(content);
  });

  test("shows none of the questions that examine it", async () => {
    const shown = new Set((await rows(data("zh.jsonl"))).map((row) => JSON.stringify(row)));
    for (const name of ["zh-new.jsonl", "sums.jsonl"]) {
      expect((await rows(data(name))).filter((row) => shown.has(JSON.stringify(row)))).toEqual([]);
    }
  });
});

describe("the tutor's folder", () => {
  test("has at most 8 MB of weights", () => {
    expect(statSync(path.join(tutor, "model.safetensors")).size).toBeLessThan(8e6);
  });

  test("has a token for each digit and each Chinese character of the lesson, and gives every row back", async () => {
    const tokenizer = await loadTokenizer(tutor);
    for (const row of await rows(data("zh.jsonl"))) {
      if (row.kind !== "instruction") throw new Error("expected instruction rows only");
      for (const character of row.output.match(/[\d\p{Script=Han}]/gu) ?? []) {
        expect(tokenizer.encode(character, { continuation: true })).toHaveLength(1);
      }
      const { ids, trained } = applyTemplate(row, tokenizer, { template: "alpaca_short" });
      expect(tokenizer.decode(ids.filter((_, i) => trained[i]))).toBe(row.output);
      expect(ids.length).toBeLessThanOrEqual(32);
    }
  });
});
