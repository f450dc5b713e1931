// The Python of the peer's side: .venv-bench, made from requirements.txt when it is not there.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { findPython } from "../../setup/prerequisites.mjs";

const root = resolve(import.meta.dirname, "..", "..");
const requirements = join(import.meta.dirname, "requirements.txt");

/**
 * Path of a Python with torch, transformers and peft. The environment is made once, and again when requirements.txt has changed.
 *
 * @param given - One to use in its place: TUNEBOOK_BENCH_PYTHON.
 * @throws Error when it cannot be made.
 */
export async function benchPython(given = process.env["TUNEBOOK_BENCH_PYTHON"]): Promise<string> {
  if (given) return given;
  const folder = join(root, ".venv-bench");
  const program = join(folder, "bin", "python");
  const installed = join(folder, "requirements.txt");
  if (existsSync(installed) && (await readFile(installed, "utf8")) === (await readFile(requirements, "utf8")))
    return program;
  const python = findPython();
  if (!python) throw new Error("bench: expected Python 3.10 or newer with venv, found none");
  console.error("bench: installing PyTorch, transformers and PEFT into .venv-bench (once, a few minutes)");
  await rm(folder, { recursive: true, force: true });
  command(python.program, "-m", "venv", folder);
  command(program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", requirements);
  await copyFile(requirements, installed); // last: its presence says that all went well
  return program;
}

function command(program: string, ...args: readonly string[]): void {
  const { status, error } = spawnSync(program, args, { stdio: ["ignore", 2, "inherit"] });
  if (status !== 0) {
    throw new Error(
      `bench: \`${program} ${args.join(" ")}\` failed (${error?.message ?? `exit ${status}`}); its output is above`,
    );
  }
}
