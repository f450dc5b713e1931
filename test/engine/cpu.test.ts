// What the cpu device promises beyond the contract of all devices: same bits on any number of threads, scratch as planned, accuracy of exp.

import { performance } from "node:perf_hooks";
import { afterAll, describe, expect, test } from "vitest";
import { loadAddon } from "../../src/engine/addon.js";
import { cpuDevice, cpuInstructionSets } from "../../src/engine/cpu.js";
import { type Device, EngineError } from "../../src/engine/device.js";
import { neutralUniforms } from "../../src/engine/ops.js";
import type { Program } from "../../src/engine/program.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { cpuWorkspaceBytes } from "../../src/engine/workspace.js";
import { expectClose } from "../close.js";
import { Bench, type OneOp, programOf, runOne, seeded } from "./contract/build.js";
import { allCases } from "./contract/judge.js";
import { Make } from "./contract/make.js";

const devices: Device[] = [];

function open(options: Parameters<typeof cpuDevice>[0]): Device {
  const device = cpuDevice(options);
  devices.push(device);
  return device;
}

afterAll(async () => {
  for (const device of devices) await device.dispose();
});

const one = (op: OneOp["op"], operands: OneOp["operands"], attrs: NonNullable<OneOp["attrs"]> = {}): OneOp => ({
  op,
  operands,
  attrs,
});

/** Large enough that every op is cut into many tiles. */
const large: readonly OneOp[] = [
  one(
    "linear",
    {
      x: { shape: [300, 130], data: seeded([300, 130], 1) },
      w: { shape: [140, 130], data: seeded([140, 130], 2) },
      y: { shape: [300, 140] },
    },
    { scale: 1 },
  ),
  one(
    "linearWeight",
    {
      dy: { shape: [200, 100], data: seeded([200, 100], 3) },
      x: { shape: [200, 90], data: seeded([200, 90], 4) },
      dW: { shape: [100, 90], data: new Float64Array(9000) },
    },
    { alpha: 1 },
  ),
  one("sumSquares", { x: { shape: [50_000], data: seeded([50_000], 5) }, total: { shape: [1], data: [0] } }),
  one("rmsNormWeight", {
    dy: { shape: [300, 70], data: seeded([300, 70], 6) },
    x: { shape: [300, 70], data: seeded([300, 70], 7) },
    rstd: { shape: [300], data: seeded([300], 8) },
    dWeight: { shape: [70], data: new Float64Array(70) },
  }),
  one(
    "headLoss",
    {
      x: { shape: [70, 40], data: seeded([70, 40], 9) },
      w: { shape: [500, 40], data: seeded([500, 40], 10) },
      labels: { dtype: "i32", shape: [70], data: Int32Array.from({ length: 70 }, (_, t) => (t % 5 === 0 ? -100 : t)) },
      nll: { shape: [70] },
      totals: { shape: [2], data: [0, 0] },
      dx: { shape: [70, 40] },
      dw: { shape: [500, 40], data: new Float64Array(20_000) },
      logits: { shape: [24, 500], arena: "workspace" },
    },
    { chunk: 24 },
  ),
];

describe("threads", () => {
  const [single, several] = [open({ threads: 1 }), open({ threads: 5 })];

  test.each(large)("five threads give the bits of one: $op", async (given) => {
    expect(await runOne(several, inActivations(given))).toEqual(await runOne(single, inActivations(given)));
  });

  test.each(["attention", "attentionBackward"] as const)("five threads give the bits of one: %s", async (op) => {
    const given = allCases.filter((candidate) => candidate.op === op).at(-1);
    if (!given) throw new Error(`no case of ${op}`);
    const made = await given.make(new Make("f32"));
    expect(await runOne(several, made)).toEqual(await runOne(single, made));
  });
});

/** The contract's builder puts scratch of the op at the start of the workspace, so operands there would be in its way. */
function inActivations(given: OneOp): OneOp {
  const { logits, ...rest } = given.operands;
  return logits ? { ...given, operands: { ...rest, logits: { shape: logits.shape } } } : given;
}

describe("workspace", () => {
  const device = open({ threads: 3 });
  const addon = loadAddon();
  const withScratch = large.concat(
    one(
      "attention",
      {
        q: { shape: [10, 40] },
        k: { shape: [10, 20] },
        v: { shape: [10, 20] },
        ranges: { dtype: "i32", shape: [10, 2], data: new Int32Array(20) },
        o: { shape: [10, 40] },
        lse: { shape: [10, 2] },
      },
      { batch: 1, heads: 2, kvHeads: 1, scale: 1 },
    ),
  );

  test.each(withScratch)("$op compiles with the planned bytes, and not with one less", async (given) => {
    const program = programOf(device, inActivations(given));
    const bench = new Bench(device, program);
    (await device.compile(program, bench.arenas)).dispose();
    const [op] = program.ops as [Program["ops"][number]];
    if (op.workspace.bytes > 0) {
      const less = { ...program, ops: [{ ...op, workspace: { offset: 0, bytes: op.workspace.bytes - 1 } }] };
      const expected = `workspace has ${op.workspace.bytes - 1} bytes, expected ${op.workspace.bytes} for 3 threads`;
      await expect(device.compile(less, bench.arenas)).rejects.toThrow(expected);
    }
    bench.free();
  });

  test("every case of the contract compiles with what the planner computes without a device", async () => {
    for (const given of allCases.filter(({ only }) => only !== "f16" && only !== "bf16")) {
      const program = programOf(device, await given.make(new Make("f32")));
      const bench = new Bench(device, program);
      (await device.compile(program, bench.arenas)).dispose();
      bench.free();
    }
    expect(addon.isas()).toContain("portable");
  });

  test("more threads need more scratch for a product, by the same amount each", () => {
    const [x, w] = [
      { dtype: "f32" as const, shape: [64, 32] },
      { dtype: "f32" as const, shape: [48, 32] },
    ];
    const bytes = (threads: number) =>
      cpuWorkspaceBytes(
        { op: "linear", inputs: [x, w], outputs: [{ dtype: "f32", shape: [64, 48] }], attrs: [1] },
        threads,
      );
    expect(bytes(3) - bytes(2)).toBe(bytes(2) - bytes(1));
    // 72 packed rows of 32 numbers, and for one thread a panel of 32 KiB and 72 rows of 128 sums.
    expect(bytes(1)).toBe(72 * 32 * 4 + 32 * 1024 + 72 * 128 * 4);
  });
});

/** Beyond one block of rows, two pieces of the sums, and one patch of columns, each with a tail; in bf16. */
const half = (shape: readonly number[], seed: number, spread = 1) =>
  ({ dtype: "bf16", shape, data: seeded(shape, seed, spread) }) as const;
const halves: readonly OneOp[] = [
  one(
    "linear",
    {
      x: half([530, 1061], 1),
      w: half([141, 1061], 2, 1 / 32),
      h: half([530, 9], 3),
      b: half([141, 9], 4, 1 / 3),
      y: { dtype: "f32", shape: [530, 141] },
    },
    { scale: 0.37 },
  ),
  one(
    "linearInput",
    {
      dy: half([530, 1061], 5),
      w: half([1061, 141], 6, 1 / 32),
      g: half([530, 9], 7),
      a: half([9, 141], 8, 1 / 3),
      dx: { dtype: "bf16", shape: [530, 141] },
    },
    { alpha: 0.37, accumulate: 0 },
  ),
  one(
    "linearWeight",
    {
      dy: half([1061, 530], 9),
      x: half([1061, 45], 10, 1 / 32),
      dW: { shape: [530, 45], data: seeded([530, 45], 11) },
    },
    { alpha: 0.37 },
  ),
];

describe.each(halves)("bf16 over many blocks: $op", (given) => {
  const exact = runOne(referenceDevice({ exact: true }), given);

  test.each(cpuInstructionSets())("%s gives the exact sums, and the same bits on 1 and 3 threads", async (isa) => {
    const [single, several] = [open({ isa, threads: 1 }), open({ isa, threads: 3 })];
    const [actual, again] = [await runOne(single, given), await runOne(several, given)];
    for (const [name, values] of Object.entries(await exact)) {
      // Both are rounded to the 8 bits of bf16: near the middle of two numbers, to either. f32: sums of 1070 products in another order.
      const relative = given.operands[name]?.dtype === "bf16" ? 2 ** -7 : 0;
      expectClose(actual[name], values, { absolute: 2e-5, relative }, name);
      expectClose(again[name], actual[name] ?? [], {}, name);
    }
  });
});

describe.each(cpuInstructionSets())("exp of %s", (isa) => {
  const addon = loadAddon();
  const device = addon.create(1, isa);
  afterAll(() => addon.dispose(device));

  test("is within 2 units in the last place of the true value", () => {
    const x = Float32Array.from({ length: 200_000 }, (_, i) => -87.3 + (i / 200_000) * 175.5);
    const got = addon.exp(device, x);
    let worst = 0;
    for (const [i, value] of got.entries()) {
      const expected = Math.exp(x[i] as number);
      const unit = 2 ** (Math.floor(Math.log2(expected)) - 23);
      worst = Math.max(worst, Math.abs(value - expected) / unit);
      if (Number.isNaN(value)) worst = Infinity;
    }
    expect(worst).toBeLessThan(2);
  });

  test("is 0 far below, infinite far above, 1 at 0, and keeps a NaN", () => {
    const got = addon.exp(device, Float32Array.of(-88, -Infinity, 89, Infinity, 0, Number.NaN));
    expect([...got]).toEqual([0, 0, Infinity, Infinity, 1, Number.NaN]);
  });
});

describe("options", () => {
  test("an unknown instruction set is refused with those the machine has", () => {
    expect(() => cpuDevice({ isa: "sse9" })).toThrow(EngineError);
    expect(() => cpuDevice({ isa: "sse9" })).toThrow(/has no instruction set sse9, it has: .*portable/);
  });

  test.each([0, -1, 1.5, Number.NaN, 5000])("threads %f are refused", (threads) => {
    expect(() => cpuDevice({ threads })).toThrow("expected `threads` to be a whole number from 1 to 1024");
  });

  test("a library that is not there is an error with the command that builds it", () => {
    expect(() => loadAddon("/nowhere/tunebook.node")).toThrow(EngineError);
    expect(() => loadAddon("/nowhere/tunebook.node")).toThrow(/build it with: node .*build\.mjs/);
  });

  test("the description names the instruction set and the threads", () => {
    const { info } = open({ isa: "portable", threads: 2 });
    expect(info.description).toMatch(/portable, 2 of \d+ threads/);
    expect(info).toMatchObject({ threads: 2, computeDTypes: ["f32", "bf16", "f16"] });
  });
});

describe("order and time", () => {
  const device = open({ threads: 1 });
  const [n, times] = [400_000, 200];

  /** a += b, `times` times over. */
  function sums(): Bench {
    const program = programOf(
      device,
      one("add", { a: { shape: [n] }, b: { shape: [n] }, y: { shape: [n], sameAs: "a" } }),
    );
    return new Bench(device, {
      ...program,
      ops: Array.from({ length: times }, () => program.ops[0] as Program["ops"][number]),
    });
  }

  test("writes below and above the size that is copied at once stay in order with runs and reads", async () => {
    const bench = sums();
    const arena = bench.arenas.activations;
    if (!arena) throw new Error("no activations");
    const ones = new Uint8Array(new Float32Array(n).fill(1).buffer);
    const offset = bench.find("b").offset;
    const executable = await device.compile(bench.program, bench.arenas);
    const results = await Promise.all([
      arena.write(offset, ones),
      executable.run(neutralUniforms),
      arena.read(0, 4),
      arena.write(0, new Uint8Array(arena.bytes)),
      arena.read(offset, 4),
    ]);
    expect(new Float32Array((results[2] as Uint8Array).slice().buffer)[0]).toBe(times);
    expect([...(results[4] as Uint8Array)]).toEqual([0, 0, 0, 0]);
    const large = device.allocate("io", 20 << 20);
    const bytes = new Uint8Array(20 << 20).fill(7);
    const [, last] = await Promise.all([large.write(0, bytes), large.read((20 << 20) - 1, 1)]);
    expect([...last]).toEqual([7]);
    large.free();
    bench.free();
  });

  test("the event loop is free while a run lasts", async () => {
    const bench = sums();
    const executable = await device.compile(bench.program, bench.arenas);
    await executable.run(neutralUniforms);
    const before = performance.eventLoopUtilization();
    for (let round = 0; round < 10; round++) await executable.run(neutralUniforms);
    // Time in which a busy machine keeps this thread from its core counts as use, so the bound is far from the 1 of a blocked loop.
    expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.5);
    bench.free();
  });

  test("a run that waits in the queue is aborted as well, and those around it are not", async () => {
    const bench = sums();
    const executable = await device.compile(bench.program, bench.arenas);
    const controller = new AbortController();
    const first = executable.run(neutralUniforms);
    const second = executable.run(neutralUniforms, { signal: controller.signal });
    const third = executable.run(neutralUniforms);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(second).rejects.toBe(reason);
    await expect(Promise.all([first, third])).resolves.toEqual([undefined, undefined]);
    bench.free();
  });

  test("an arena that is freed with a run on its way is there until that run is done", async () => {
    const bench = sums();
    const executable = await device.compile(bench.program, bench.arenas);
    const run = executable.run(neutralUniforms);
    bench.free();
    await expect(run).resolves.toBeUndefined();
    await expect(executable.run(neutralUniforms)).rejects.toThrow('program "add": the arena activations was freed');
  });

  test("dispose waits for what was asked for, then everything is refused", async () => {
    const short = cpuDevice({ threads: 2 });
    const arena = short.allocate("io", 8);
    const write = arena.write(0, Uint8Array.of(1));
    await short.dispose();
    await expect(write).resolves.toBeUndefined();
    await expect(arena.read(0, 1)).rejects.toThrow("the device cpu was disposed");
    expect(() => short.allocate("io", 8)).toThrow("the device cpu was disposed");
  });
});
