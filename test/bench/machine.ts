// The machine a bench ran on: what it is, and how fast it reads memory.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { findCompiler } from "../../setup/prerequisites.mjs";

const run = promisify(execFile);

export interface Machine {
  /** For people. */
  readonly description: string;
  /** Matrix instructions the processor says it has; libraries choose among them. */
  readonly extensions: readonly string[];
  /** Bytes per second that so many threads read together. */
  readonly readBandwidth: number;
}

const telling = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16"];

export async function readMachine(threads: number): Promise<Machine> {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  const cpuinfo = process.platform === "linux" ? await readFile("/proc/cpuinfo", "utf8") : "";
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(" ") ?? []);
  return {
    description: `${model}, ${cpus().length} processors, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    extensions: telling.filter((name) => flags.has(name)),
    readBandwidth: await readBandwidth(threads),
  };
}

/** Builds read-bandwidth.cpp and runs it. @throws Error when there is no compiler. */
async function readBandwidth(threads: number): Promise<number> {
  const compiler = findCompiler();
  if (!compiler)
    throw new Error("bench: expected a C++ compiler (g++ or clang++) to measure the memory with, found none");
  const folder = await mkdtemp(join(tmpdir(), "tunebook-bench-"));
  try {
    const program = join(folder, "read-bandwidth");
    const source = join(import.meta.dirname, "read-bandwidth.cpp");
    await run(compiler.program, ["-O3", "-march=native", "-std=c++17", "-pthread", source, "-o", program]);
    const { stdout } = await run(program, [String(threads)]);
    return Number(stdout);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Part of all processors' time that was spent on anything at all, while we wait so long. */
export async function busyPart(milliseconds = 1000): Promise<number> {
  const before = cpus();
  await sleep(milliseconds);
  return busyBetween(before, cpus());
}

type Times = { readonly times: Readonly<Record<"user" | "nice" | "sys" | "idle" | "irq", number>> };

/** The same between two readings of the system's counters. */
export function busyBetween(before: readonly Times[], after: readonly Times[]): number {
  const total = (list: readonly Times[], of: (times: Times["times"]) => number) =>
    list.reduce((sum, { times }) => sum + of(times), 0);
  const all = ({ user, nice, sys, idle, irq }: Times["times"]) => user + nice + sys + idle + irq;
  const passed = total(after, all) - total(before, all);
  const idle = total(after, ({ idle }) => idle) - total(before, ({ idle }) => idle);
  return passed > 0 ? 1 - idle / passed : 0;
}
