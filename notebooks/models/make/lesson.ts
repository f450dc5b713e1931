// Writes the data of notebook 01: the Chinese lesson, and the questions that examine it. The files are committed; a test holds them to
// what this writes.
//
//     npx tsx notebooks/models/make/lesson.ts

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { permutation } from "../../../src/engine/random.js";
import { chineseLesson, chineseSums, type Exercise, heldOutExercises } from "./world/world.js";

const SEED = 7;
/** Rows of worked tasks in the lesson, beside those about facts. */
const TASKS = 60;
/** Sums and differences among its rows: without them, learning Chinese costs half of the arithmetic. */
const REHEARSED = 100;
/** Held-out sums and differences asked before and after. */
const SUMS = 40;

/** One JSON object a line, with the fields of an Alpaca row. */
function linesOf(exercises: readonly Exercise[]): string {
  return exercises
    .map(
      ({ instruction, input, output }) =>
        `${JSON.stringify({ instruction, ...(input === undefined ? {} : { input }), output })}\n`,
    )
    .join("");
}

function shuffled(exercises: readonly Exercise[]): Exercise[] {
  return Array.from(permutation(exercises.length, SEED, 8), (at) => exercises[at] as Exercise);
}

/** Name -> content of every data file. */
export function lessonFiles(): ReadonlyMap<string, string> {
  const lesson = chineseLesson(SEED, TASKS);
  const sums = heldOutExercises(SUMS / 2, SEED).filter(({ about }) => about === "add" || about === "subtract");
  return new Map([
    ["zh.jsonl", linesOf(shuffled([...lesson.rows, ...chineseSums(REHEARSED, SEED)]))],
    ["zh-new.jsonl", linesOf([...lesson.newWordings, ...lesson.newFacts])],
    ["sums.jsonl", linesOf(sums)],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = fileURLToPath(new URL("../../data/", import.meta.url));
  await mkdir(folder, { recursive: true });
  for (const [name, content] of lessonFiles()) await writeFile(path.join(folder, name), content);
}
