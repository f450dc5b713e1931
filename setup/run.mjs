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
 * Make the parts that are not current, those that do not need each other side by side.
 *
 * @param parts - As partsFor() has them.
 * @param options.root - Sources and what the parts leave are relative to it.
 * @param options.state - Part name to fingerprint; updated, and handed to `save`, after each part.
 * @returns the names made and the names that failed; a part whose needs failed is in neither.
 */
export async function makeParts(parts, { root, state, save, force = false, say = console.error }) {
  const running = new Map();
  const made = [];
  const failed = [];
  let begun = false;

  async function bring(part) {
    const needed = await Promise.all(part.needs.map((name) => running.get(name)));
    if (needed.includes(false)) return false;
    const print = fingerprint(root, part.sources, part.facts());
    const absent = () => part.leaves.filter((file) => !existsSync(resolve(root, file)));
    if (!force && absent().length === 0 && state[part.name] === print) return true;

    const since = Date.now();
    if (!begun) say("set-up (a first one takes some minutes, later ones only what changed)");
    begun = true;
    try {
      await part.make({ command });
      if (absent().length > 0) throw new CommandError(`${part.name} was made but left no ${absent().join(", ")}`);
    } catch (error) {
      failed.push(part.name);
      delete state[part.name];
      save(state);
      say(`  ${part.name.padEnd(10)} FAILED after ${secondsSince(since)}\n`);
      say(error instanceof CommandError ? error.message : error);
      return false;
    }
    made.push(part.name);
    state[part.name] = print;
    save(state);
    say(`  ${part.name.padEnd(10)} ${part.does}  ${secondsSince(since)}`);
    return true;
  }

  for (const part of parts) running.set(part.name, bring(part));
  await Promise.all(running.values());
  return { made, failed };
}

const secondsSince = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/**
 * Set everything up.
 *
 * @param options.browser - Also look for a browser for the tests, and install Debian's where that is allowed.
 * @param options.force - Make every part again.
 * @param options.prefix - A Python environment that already has JupyterLab, to use in place of .venv.
 * @returns whether everything is ready; what is not has been said on stderr.
 */
export async function setUp({ browser = false, force = false, prefix } = {}) {
  const began = Date.now();
  const lacking = missing();
  if (lacking.length > 0) {
    console.error(describeMissing(lacking));
    return false;
  }
  const state = readState(stateFile);
  const save = (current) => writeState(stateFile, current);
  const { made, failed } = await makeParts(partsFor(prefix), { root, state, save, force });
  if (failed.length > 0) {
    console.error(`\nset-up is not complete: ${failed.join(", ")} failed`);
    return false;
  }
  if (!(await systemPackages({ browser, state, command }))) return false;
  save(state);
  console.error(
    made.length === 0 ? `set-up: nothing changed (${secondsSince(began)})` : `set-up took ${secondsSince(began)}`,
  );
  return true;
}
