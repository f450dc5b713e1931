// Runs the parts that are not current, each as soon as what it needs is there, and says in one line each what took how long.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { systemPackages } from "./browser.mjs";
import { fingerprint, readState, writeState } from "./fingerprint.mjs";
import { partsFor, root } from "./parts.mjs";
import { describeMissing, missing } from "./prerequisites.mjs";

const stateFile = resolve(root, ".cache", "setup.json");

/** Lines of a failed command's output that are shown. */
const tailLines = 60;

/** A command of the set-up ended with an error; the message carries the end of its output. */
export class CommandError extends Error {
  name = "CommandError";
}

/** Run a program in the root. @throws CommandError with the last lines it printed. */
export function command(program, ...args) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: "1" };
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(output);
      const tail = output.trimEnd().split("\n").slice(-tailLines).join("\n");
      reject(new CommandError(`${[program, ...args].join(" ")}\nended with ${signal ?? `code ${code}`}:\n${tail}`));
    });
  });
}

/**
 * Set everything up. Parts that do not need each other run side by side.
 *
 * @param options.browser - Also look for a browser for the tests, and install Debian's where that is allowed.
 * @param options.force - Make every part again.
 * @param options.prefix - A Python environment that already has JupyterLab, to use in place of .venv.
 * @returns whether everything is ready; what is not has been said on stderr.
 */
export async function setUp({ browser = false, force = false, prefix } = {}) {
  const began = Date.now();
  const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;
  const lacking = missing();
  if (lacking.length > 0) {
    console.error(describeMissing(lacking));
    return false;
  }

  const state = readState(stateFile);
  const running = new Map();
  let made = 0;
  let failed = false;

  async function bring(part) {
    const needed = await Promise.all(part.needs.map((name) => running.get(name)));
    if (needed.includes(false)) return false;
    const print = fingerprint(root, part.sources, part.facts());
    const there = part.leaves.every((file) => existsSync(resolve(root, file)));
    if (!force && there && state[part.name] === print) return true;

    const since = Date.now();
    if (made++ === 0) console.error("set-up (a first one takes some minutes, later ones only what changed)");
    try {
      await part.make({ command });
      const absent = part.leaves.filter((file) => !existsSync(resolve(root, file)));
      if (absent.length > 0) throw new CommandError(`${part.name} was made but left no ${absent.join(", ")}`);
    } catch (error) {
      failed = true;
      console.error(`  ${part.name.padEnd(10)} FAILED after ${seconds(since)}\n`);
      console.error(error instanceof CommandError ? error.message : error);
      return false;
    }
    state[part.name] = print;
    writeState(stateFile, state);
    console.error(`  ${part.name.padEnd(10)} ${part.does}  ${seconds(since)}`);
    return true;
  }

  for (const part of partsFor(prefix)) running.set(part.name, bring(part));
  await Promise.all(running.values());
  if (failed) return false;
  if (!(await systemPackages({ browser, state, command }))) return false;
  writeState(stateFile, state);
  console.error(made === 0 ? `set-up: nothing changed (${seconds(began)})` : `set-up took ${seconds(began)}`);
  return true;
}
