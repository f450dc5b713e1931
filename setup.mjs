// `node setup.mjs`: brings a clone to the point where everything runs, and does nothing where nothing changed.
// Plain JavaScript, because it runs before anything is installed. What is set up stands in setup/parts.mjs.
//
//     --browser       also Debian's chromium, for the browser tests
//     --force         every part again
//     --prefix PATH   a Python environment that already has JupyterLab, in place of .venv

import { parseArgs } from "node:util";
import { setUp } from "./setup/run.mjs";

const options = { browser: { type: "boolean" }, force: { type: "boolean" }, prefix: { type: "string" } };
try {
  const { values } = parseArgs({ options });
  process.exitCode = (await setUp(values)) ? 0 : 1;
} catch (error) {
  if (!error.code?.startsWith("ERR_PARSE_ARGS")) throw error;
  console.error(`setup.mjs: ${error.message}`);
  process.exitCode = 2;
}
