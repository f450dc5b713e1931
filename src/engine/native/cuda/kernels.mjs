// The kernels by nvcc: machine code for the cards that are common and PTX for all later ones, in build/cuda; and the check that no kernel
// spills registers. Used by build.mjs.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { filesUnder, hashOf, root, run } from "../compile.mjs";

const here = join(dirname(fileURLToPath(import.meta.url)), "kernels");
const place = join(root, "build", "cuda");

/** A100; A10 and RTX 30; L4 and RTX 40; H100 and H200. Later cards take the PTX. */
const architectures = ["80", "86", "89", "90"];

/** What nvcc writes today asks for the newest driver; nothing in the kernels needs more than this, so older ones may compile it too. */
const PTX_VERSION = "8.0";

/** Bytes that a thread may keep in local memory: the compiler's own bookkeeping in some kernels, no sums. */
const LOCAL_BYTES = 16;

const PARALLEL = Math.min(8, availableParallelism());

/** @returns { program, version } or undefined. */
export function findNvcc() {
  const { TUNEBOOK_NVCC: named, CUDA_HOME: home, PATH = "" } = process.env;
  const places = named
    ? [named]
    : [
        ...(home ? [join(home, "bin", "nvcc")] : []),
        ...PATH.split(":").map((folder) => join(folder, "nvcc")),
        "/usr/local/cuda/bin/nvcc",
      ];
  for (const program of places) {
    if (!existsSync(program)) continue;
    const version = /release ([\d.]+)/.exec(execFileSync(program, ["--version"], { encoding: "utf8" }))?.[1];
    if (version) return { program, version };
  }
  if (named) throw new Error(`TUNEBOOK_NVCC: there is no nvcc at ${named}`);
  return undefined;
}

const sources = () => filesUnder(here, ".cu");
const common = ["-std=c++17", "-O3", "--expt-relaxed-constexpr"];

async function each(list, work) {
  const waiting = [...list];
  const next = async () => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: PARALLEL }, next));
}

/** build/cuda/<name>.fatbin and <name>.ptx of every kernel file that has changed. */
export async function makeKernels(nvcc) {
  mkdirSync(place, { recursive: true });
  const headers = filesUnder(here, ".h").map((file) => readFileSync(file));
  let made = 0;
  await each(sources(), async (source) => {
    const name = basename(source, ".cu");
    const hash = hashOf(
      JSON.stringify([nvcc.version, architectures, PTX_VERSION, common]),
      readFileSync(source),
      ...headers,
    );
    const stamp = join(place, `${name}.hash`);
    const [fatbin, ptx] = [join(place, `${name}.fatbin`), join(place, `${name}.ptx`)];
    if ([stamp, fatbin, ptx].every(existsSync) && readFileSync(stamp, "utf8") === hash) return;
    const codes = architectures.flatMap((sm) => ["-gencode", `arch=compute_${sm},code=sm_${sm}`]);
    const temporary = (file) => `${file}.${process.pid}`;
    await run(nvcc.program, [...common, ...codes, "-fatbin", "-o", temporary(fatbin), source]);
    await run(nvcc.program, [...common, "-arch=compute_80", "-ptx", "-o", temporary(ptx), source]);
    const text = readFileSync(temporary(ptx), "utf8").replace(/^\.version .*$/m, `.version ${PTX_VERSION}`);
    // Advice to newer assemblers, which older ones take for an error.
    writeFileSync(ptx, text.replace(/^\s*\.pragma "used_bytes_mask .*\n/gm, ""));
    rmSync(temporary(ptx));
    renameSync(temporary(fatbin), fatbin);
    writeFileSync(stamp, hash);
    made += 1;
  });
  if (made > 0) console.log(`built ${made} kernel files in ${relative(root, place)} with nvcc ${nvcc.version}`);
}

/** Kernels of one assembler's report: name, registers, bytes of local memory. */
export function readReport(report) {
  const kernels = [];
  for (const line of report.split("\n")) {
    const entry = /Compiling entry function '(\w+)'/.exec(line)?.[1];
    if (entry) kernels.push({ name: entry, registers: 0, localBytes: 0 });
    const last = kernels.at(-1);
    if (!last) continue;
    const local = /(\d+) bytes stack frame/.exec(line)?.[1];
    if (local && last.registers === 0) last.localBytes = Number(local);
    const registers = /Used (\d+) registers/.exec(line)?.[1];
    if (registers) last.registers = Number(registers);
  }
  return kernels;
}

/** Compile everything for every architecture and print a line for each kernel. @throws Error naming those that spill. */
export async function checkKernels(nvcc) {
  const bad = [];
  const jobs = sources().flatMap((source) => ["80", "89", "90"].map((sm) => ({ source, sm })));
  await each(jobs, async ({ source, sm }) => {
    const report = await run(nvcc.program, [
      ...common,
      `-arch=sm_${sm}`,
      "-cubin",
      "-Xptxas",
      "-v",
      "-o",
      "/dev/null",
      source,
    ]);
    for (const { name, registers, localBytes } of readReport(report)) {
      console.log(
        `sm_${sm} ${name.padEnd(30)} ${String(registers).padStart(3)} registers ${localBytes} bytes of local memory`,
      );
      if (localBytes > LOCAL_BYTES) bad.push(`${name} for sm_${sm}: ${localBytes} bytes of local memory`);
    }
  });
  if (bad.length > 0) throw new Error(`kernels that spill registers:\n${bad.join("\n")}`);
}
