// The JSON file of a training job: paths are relative to it, and what cannot be used is refused with its name.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readTrainConfig } from "../../src/cli/config.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tunebook-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(fields: unknown): string {
  const file = path.join(folder, "job.json");
  writeFileSync(file, typeof fields === "string" ? fields : JSON.stringify(fields));
  return file;
}

test("paths are relative to the file's folder, absolute ones stay, and other options pass as they are", () => {
  const file = write({
    model: "models/base",
    device: "cpu",
    dtype: "f32",
    quantize: "nf4",
    lora: { rank: 4 },
    data: "../rows.jsonl",
    validation: 0.1,
    outputFolder: "/tmp/out",
    resume: true,
    learningRate: 1e-4,
  });
  expect(readTrainConfig(file)).toEqual({
    model: path.join(folder, "models", "base"),
    device: "cpu",
    dtype: "f32",
    quantize: "nf4",
    lora: { rank: 4 },
    train: {
      data: path.join(path.dirname(folder), "rows.jsonl"),
      validation: 0.1,
      outputFolder: "/tmp/out",
      resume: true,
      learningRate: 1e-4,
    },
  });
});

test.each<[string, unknown, string]>([
  ["text that is no JSON", '{\n  "model": }', "job.json: line 2, column"],
  ["a list", [], "job.json: expected a JSON object"],
  ["no model", { data: "rows.jsonl" }, "job.json: expected `model` to be a text that is not empty, got undefined"],
  [
    "an empty device",
    { model: ".", data: "rows.jsonl", device: "" },
    'expected `device` to be a text that is not empty, got ""',
  ],
  ["no data", { model: "." }, "job.json: expected `data`, the path of a file of rows"],
  ["lora that is no object", { model: ".", data: "rows.jsonl", lora: 8 }, "job.json: expected `lora` to be an object"],
])("refuses %s", (_, fields, message) => {
  expect(() => readTrainConfig(write(fields))).toThrow(message);
});

test("refuses a file that is not there, with the system's reason", () => {
  expect(() => readTrainConfig(path.join(folder, "no.json"))).toThrow(/no\.json: cannot be read: ENOENT/);
});
