// `npm run quickstart`: runs the first tutorial in the real kernel, without a browser, and says what came of it.
//
//     npm run quickstart [-- --notebook PATH]

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { runSummary } from "../dist/cli/summary.js";
import { totalBytes } from "../dist/widgets/format.js";
import { hasEnded } from "../dist/widgets/state.js";
import { terminalDrawer } from "../dist/widgets/terminal.js";
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
const closed = new Promise((resolve) => child.once("close", resolve));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));

/** By run id: what draws it, its last state, and the most bytes it held; a notebook may train more than once. */
const runs = new Map();
let failed;
let written;

const tell = {
  notebook: () => undefined,
  cell({ number, of, first }) {
    console.log(`  cell ${number}/${of}  ${first}`);
  },
  async run({ state }) {
    const run = runs.get(state.runId) ?? { drawer: terminalDrawer(), peakBytes: 0, ended: false };
    runs.set(state.runId, run);
    run.state = state;
    if (state.memory) run.peakBytes = Math.max(run.peakBytes, totalBytes(state.memory));
    if (run.ended) return;
    run.ended = hasEnded(state.status);
    if (run.ended) await run.drawer.last(state);
    else run.drawer.draw(state);
  },
  stream({ name, text }) {
    process[name === "stderr" ? "stderr" : "stdout"].write(text.replace(/^(?=.)/gm, "    "));
  },
  failed(event) {
    failed = event;
  },
  written(event) {
    written = event;
  },
};

for await (const line of createInterface({ input: child.stdout })) {
  const event = JSON.parse(line);
  await tell[event.kind](event);
}
const code = await closed;

for (const { state, peakBytes } of runs.values()) {
  console.log(`\nrun ${state.runId} ${state.status}${state.reason ? `: ${state.reason}` : ""}`);
  console.log(runSummary(state, peakBytes, process.stdout.columns || 100));
}
if (failed) console.error(`\n${basename(notebook)}: cell ${failed.number} failed\n\n${failed.traceback}`);
if (written)
  console.log(
    `\n  executed notebook  ${relative(root, written.notebook)}\n  as a page          ${relative(root, written.html)}`,
  );
console.log(`  ${code === 0 ? "done" : "FAILED"} in ${((Date.now() - began) / 1000).toFixed(1)} s`);
process.exit(code === 0 ? 0 : 1);
