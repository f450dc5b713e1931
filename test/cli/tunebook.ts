// The command as a process: what it said on stdout and stderr, and its exit code.

import { spawn } from "node:child_process";
import path from "node:path";

export const root = path.resolve(import.meta.dirname, "..", "..");

export function tunebook(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const main = path.join(root, "src", "cli", "main.ts");
    const child = spawn(process.execPath, ["--import", "tsx", main, ...args], { cwd: root });
    const said = { stdout: "", stderr: "" };
    child.stdout.on("data", (data) => (said.stdout += data));
    child.stderr.on("data", (data) => (said.stderr += data));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...said }));
  });
}
