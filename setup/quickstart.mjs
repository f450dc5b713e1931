// `npm run quickstart`: runs the first tutorial in the real kernel, without a browser, and says what came of it.
//
//     npm run quickstart [-- --notebook PATH]

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { RunProgress, runSummary } from "../dist/cli/progress.js";
import { root, venv } from "./parts.mjs";

const { values } = parseArgs({ options: { notebook: { type: "string" } } });
const folder = join(root, "notebooks");
const first = readdirSync(folder).find((name) => /^01-.*\.ipynb$/.test(name));
const notebook = values.notebook ?? (first && join(folder, first));
if (!notebook) throw new Error("quickstart: expected a notebook notebooks/01-*.ipynb, found none");
const output = join(root, "runs", "quickstart");

const began = Date.now();
console.log(`\n${relative(root, notebook)} in the Tunebook kernel`);
const child = spawn(venv("python"), ["setup/notebook.py", notebook, output], {
  cwd: root,
  stdio: ["ignore", "pipe", "inherit"],
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));

/** By run id: the bar and the last state; a notebook may train more than once. */
const runs = new Map();
let drawing;
let failed;
let written;

const tell = {
  notebook: () => undefined,
  cell({ number, of, first }) {
    drawing?.stop();
    console.log(`  cell ${number}/${of}  ${first}`);
  },
  run({ state }) {
    const run = runs.get(state.runId) ?? { progress: new RunProgress() };
    runs.set(state.runId, { ...run, state });
    drawing = run.progress;
    drawing.show(state);
  },
  stream({ name, text }) {
    drawing?.stop();
    process[name === "stderr" ? "stderr" : "stdout"].write(text.replace(/^(?=.)/gm, "    "));
  },
  failed(event) {
    drawing?.stop();
    failed = event;
  },
  written(event) {
    written = event;
  },
};

for await (const line of createInterface({ input: child.stdout })) {
  const event = JSON.parse(line);
  tell[event.kind](event);
}
const code = child.exitCode ?? (await new Promise((resolve) => child.once("close", resolve)));
drawing?.stop();

for (const { state, progress } of runs.values()) {
  console.log(`\nrun ${state.runId} ${state.status}${state.reason ? `: ${state.reason}` : ""}`);
  console.log(runSummary(state, progress.peakBytes, process.stdout.columns ?? 100));
}
if (failed) console.error(`\n${basename(notebook)}: cell ${failed.number} failed\n\n${failed.traceback}`);
if (written)
  console.log(
    `\n  executed notebook  ${relative(root, written.notebook)}\n  as a page          ${relative(root, written.html)}`,
  );
console.log(`  ${code === 0 ? "done" : "FAILED"} in ${((Date.now() - began) / 1000).toFixed(1)} s`);
process.exit(code === 0 ? 0 : 1);
