// A process with a cpu device ends when it should: an idle device does not hold it, a pending run does, and an exit in mid-run is an exit.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tunebook-process-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Declares a program of many additions, some seconds long, on a device of two threads. */
const opening = `
  import { cpuDevice } from "${root}src/engine/cpu.js";
  import { neutralUniforms } from "${root}src/engine/ops.js";
  import { categories } from "${root}src/engine/program.js";
  const device = cpuDevice({ threads: 2 });
  const long = async (times: number) => {
    const buffer = { name: "x", arena: "activations" as const, offset: 0, dtype: "f32" as const, shape: [4000000] };
    const op = { op: "add" as const, inputs: [0, 0], outputs: [0], attrs: [], workspace: { offset: 0, bytes: 0 } };
    const arenaBytes = { ...Object.fromEntries(categories.map((name) => [name, 0])), activations: 16000000 } as never;
    const arena = device.allocate("activations", 16000000);
    const program = { name: "long", arenaBytes, buffers: [buffer], ops: Array.from({ length: times }, () => op) };
    return device.compile(program, { activations: arena });
  };
`;

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly seconds: number;
}

let children = 0;

/** Run TypeScript in a process of its own; one that does not end is killed, and then has a signal. */
function runChild(code: string, limitSeconds = 25): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const file = join(folder, `child-${++children}.mts`);
    writeFileSync(file, opening + code);
    const child = spawn(process.execPath, ["--import", "tsx", file], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (output += text.toString()));
    const timer = setTimeout(() => child.kill("SIGKILL"), limitSeconds * 1000);
    child.on("error", reject);
    child.on("close", (exit, signal) => {
      clearTimeout(timer);
      resolve({ code: exit, signal, output, seconds: (performance.now() - started) / 1000 });
    });
  });
}

test("an idle device lets the process end", async () => {
  expect(await runChild(`console.log(device.info.threads);`)).toMatchObject({ code: 0, output: "2\n" });
});

test("a run that nobody awaits keeps the process until it is done", async () => {
  const code = `void (await long(300)).run(neutralUniforms).then(() => console.log("done"));`;
  expect(await runChild(code)).toMatchObject({ code: 0, output: "done\n" });
});

test("process.exit in the middle of a run ends the process at once, with its code", async () => {
  const code = `void (await long(5000)).run(neutralUniforms); setTimeout(() => process.exit(7), 50);`;
  const ended = await runChild(code);
  expect(ended).toMatchObject({ code: 7, signal: null });
  expect(ended.seconds).toBeLessThan(10);
});

test("an error that nobody catches in the middle of a run ends the process with code 1", async () => {
  const code = `void (await long(5000)).run(neutralUniforms); setTimeout(() => { throw new Error("oops"); }, 50);`;
  const ended = await runChild(code);
  expect(ended).toMatchObject({ code: 1, signal: null });
  expect(ended.output).toContain("oops");
});

test("a worker thread is terminated in the middle of a run, and the main thread's device goes on", async () => {
  const running = join(folder, "running.mts");
  writeFileSync(
    running,
    `import { parentPort } from "node:worker_threads"; ${opening}
     void (await long(5000)).run(neutralUniforms); parentPort?.postMessage("running");`,
  );
  // tsx reads TypeScript in a worker only when it is called there.
  const starter = join(folder, "starter.mjs");
  writeFileSync(
    starter,
    `import { tsImport } from "${root}node_modules/tsx/dist/esm/api/index.mjs";
     await tsImport(${JSON.stringify(running)}, import.meta.url);`,
  );
  const code = `
    import { Worker } from "node:worker_threads";
    const worker = new Worker(${JSON.stringify(starter)});
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    await worker.terminate();
    await (await long(3)).run(neutralUniforms);
    console.log("both fine");
  `;
  expect(await runChild(code)).toMatchObject({ code: 0, output: "both fine\n" });
});
