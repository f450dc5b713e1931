// `npm run make:tiny-tutor`: makes notebooks/models/tiny-tutor from nothing, with this project's own engine. Seeded: the same machine
// makes the same bytes. Next to read: world/world.ts, what it is taught.
//
//     npx tsx notebooks/models/make/main.ts [--folder notebooks/models/tiny-tutor] [--updates 3200] [--device cpu] [--dtype bf16]

import { copyFile, cp, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { trainFully } from "../../../src/adapter/index.js";
import type { DeviceName } from "../../../src/engine/devices.js";
import { type ComputeDType, loadModel, parameterCount } from "../../../src/model/index.js";
import { renderPrompt } from "../../../src/tokens/index.js";
import { train } from "../../../src/train/index.js";
import { cardOf } from "./card.js";
import { examine, MAX_TOKENS, percent, TEMPLATE } from "./exam.js";
import { writeStart } from "./start.js";
import { trainTokenizer } from "./tokenizer.js";
import { chineseLesson, heldOutExercises, trainingRows, type WorldRow } from "./world/world.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const { values: flags } = parseArgs({
  options: {
    folder: { type: "string", default: path.join(root, "notebooks/models/tiny-tutor") },
    work: { type: "string", default: path.join(root, "artifacts/tiny-tutor") },
    updates: { type: "string", default: "3200" },
    batch: { type: "string", default: "64" },
    rate: { type: "string", default: "1.5e-3" },
    device: { type: "string", default: "auto" },
    dtype: { type: "string", default: "bf16" },
  },
});

const SEED = 7;
const VOCABULARY = 1280;
const updates = Number(flags.updates);
const batchSize = Number(flags.batch);
const started = performance.now();

/** Everything the tokenizer should have seen: questions as the template words them, answers in both languages. */
function* textsOf(rows: readonly WorldRow[]): Generator<string> {
  for (const row of rows) {
    if (row.kind === "text") yield row.text;
    else yield* [renderPrompt(TEMPLATE, row), row.output];
  }
}

const rows = trainingRows(updates * batchSize, SEED);
const lesson = chineseLesson(SEED, 60).rows.map(({ output }) => output);
const tokenizer = trainTokenizer([...textsOf(rows.slice(0, 40_000)), ...lesson], VOCABULARY);
const startFolder = path.join(flags.work, "start");
await rm(flags.work, { recursive: true, force: true });
await writeStart(startFolder, tokenizer, SEED);

const base = await loadModel(startFolder, { device: flags.device as DeviceName, dtype: flags.dtype as ComputeDType });
const model = await trainFully(base, { saveAs: "bf16" });
const parameters = parameterCount(base.config);
console.log(
  `${rows.length} rows, ${tokenizer.model.merges.length} merges, ${parameters} parameters on ${base.device.info.description}`,
);

const run = train(model, {
  data: rows,
  template: TEMPLATE,
  maxTokens: MAX_TOKENS,
  maxSteps: updates,
  batchSize,
  learningRate: Number(flags.rate),
  scheduler: "cosine",
  warmupSteps: Math.min(100, Math.ceil(updates / 10)),
  weightDecay: 0.01,
  adamBeta2: 0.99,
  seed: SEED,
  saveSteps: updates,
  outputFolder: path.join(flags.work, "run"),
});
let lately = 0;
for await (const event of run) {
  if (event.kind === "checked")
    for (const { verdict, message } of event.findings) if (verdict !== "good") console.log(message);
  if (event.kind !== "updated") continue;
  lately += event.loss;
  if (event.update % 100 !== 0) continue;
  console.log(
    `${event.update}  loss ${(lately / 100).toFixed(4)}  ${Math.round(event.tokensPerSecond)} tokens/s  ${Math.round(event.seconds)} s`,
  );
  lately = 0;
}
const { adapter } = await run.finished;
if (!adapter) throw new Error("the run was stopped before it learned anything: start it again");

// Put together beside, examined there, and only then put in the place of an older tutor.
const madeFolder = path.join(flags.work, "made");
await mkdir(madeFolder, { recursive: true });
for (const name of ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]) {
  await copyFile(path.join(startFolder, name), path.join(madeFolder, name));
}
await copyFile(path.join(adapter, "model.safetensors"), path.join(madeFolder, "model.safetensors"));

const made = await loadModel(madeFolder, { device: flags.device as DeviceName, dtype: flags.dtype as ComputeDType });
const result = await examine(made, heldOutExercises(100, SEED));
for (const { about, asked, right } of result.marks) console.log(`${about.padEnd(16)} ${right} of ${asked}`);
for (const { exercise, said } of result.wrong.slice(0, 30)) {
  console.log(`  ${exercise.instruction} ${exercise.input ?? ""} -> ${said} (${exercise.output})`);
}
const seconds = (performance.now() - started) / 1000;
console.log(`held out: ${percent(result.right, result.asked)} exact; ${(seconds / 60).toFixed(1)} minutes`);
await writeFile(
  path.join(madeFolder, "README.md"),
  cardOf({
    result,
    seconds,
    parameters,
    updates,
    batchSize,
    rows: rows.length,
    vocabulary: VOCABULARY,
    dtype: flags.dtype,
    device: base.device.info.description,
  }),
);
if (result.right < 0.95 * result.asked) {
  const share = percent(result.right, result.asked);
  console.error(
    `expected at least 95 % of the held-out answers to be exactly right, got ${share}: it stays in ${madeFolder}`,
  );
  process.exitCode = 1;
} else {
  await cp(madeFolder, flags.folder, { recursive: true });
  console.log(`in ${flags.folder}`);
}
