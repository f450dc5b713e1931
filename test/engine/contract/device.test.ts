// What a Device promises besides numbers: zeroed arenas, order, accounts, abort, an event loop that stays free, and an end.

import { expect, test } from "vitest";
import { type Device, EngineError } from "../../../src/engine/device.js";
import { openDevice } from "../../../src/engine/devices.js";
import { decode, encode } from "../../../src/engine/number.js";
import { neutralUniforms } from "../../../src/engine/ops.js";
import type { Program } from "../../../src/engine/program.js";
import { expectClose } from "../../close.js";
import { Bench, programOf, runOne } from "./build.js";
import { onEveryDevice } from "./devices.js";
import { Make } from "./make.js";

/** y = a + b, n numbers, `times` times over: y of one op is a of the next. */
function chain(device: Device, n: number, times: number): Program {
  const one = programOf(device, {
    op: "add",
    operands: { a: { shape: [n] }, b: { shape: [n] }, y: { shape: [n], sameAs: "a" } },
  });
  return { ...one, name: "chain", ops: Array.from({ length: times }, () => one.ops[0]) };
}

onEveryDevice((device, name) => {
  test("a new arena is zero, and its bytes are counted by category until it is freed", () => {
    const before = device.allocated();
    const arena = device.allocate("cache", 1000);
    expect(arena.category).toBe("cache");
    expect(arena.bytes).toBe(1000);
    expect(device.allocated()).toEqual({ ...before, cache: before.cache + 1000 });
    arena.free();
    expect(device.allocated()).toEqual(before);
  });

  test("bytes come back as written, the rest stays zero", async () => {
    const arena = device.allocate("io", 16);
    await arena.write(4, Uint8Array.of(1, 2, 3));
    expect([...(await arena.read(0, 16))]).toEqual([0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...(await arena.read(5, 1))]).toEqual([2]);
    arena.free();
  });

  test("writes and reads outside an arena are refused", async () => {
    const arena = device.allocate("io", 16);
    await expect(arena.write(14, new Uint8Array(3))).rejects.toBeInstanceOf(EngineError);
    await expect(arena.read(-1, 4)).rejects.toBeInstanceOf(EngineError);
    await expect(arena.read(0, 17)).rejects.toBeInstanceOf(EngineError);
    arena.free();
    await expect(arena.read(0, 4)).rejects.toBeInstanceOf(EngineError);
  });

  test("more memory than any machine has is refused with what was asked", () => {
    expect(() => device.allocate("weights", 2 ** 52)).toThrow(EngineError);
    expect(() => device.allocate("weights", 2 ** 52)).toThrow(String(2 ** 52));
  });

  test("writes, runs and reads take effect in the order of the calls, without waiting in between", async () => {
    const bench = new Bench(device, chain(device, 3, 1));
    const executable = await device.compile(bench.program, bench.arenas);
    const [a, b] = [bench.find("a"), bench.find("b")];
    const arena = bench.arenas.activations;
    if (!arena) throw new Error("no arena");
    const done: string[] = [];
    const note = async <T>(what: string, promise: Promise<T>): Promise<T> => {
      const value = await promise;
      done.push(what);
      return value;
    };
    const steps = [
      note("a", arena.write(a.offset, encode([1, 2, 3], "f32"))),
      note("b", arena.write(b.offset, encode([10, 10, 10], "f32"))),
      note("run", executable.run(neutralUniforms)),
      note("first", arena.read(a.offset, 12)),
      note("b again", arena.write(b.offset, encode([100, 100, 100], "f32"))),
      note("run again", executable.run(neutralUniforms)),
      note("second", arena.read(a.offset, 12)),
    ];
    const results = await Promise.all(steps);
    expectClose(decode(results[3] as Uint8Array, "f32"), [11, 12, 13], {});
    expectClose(decode(results[6] as Uint8Array, "f32"), [111, 112, 113], {});
    expect(done).toEqual(["a", "b", "run", "first", "b again", "run again", "second"]);
    executable.dispose();
    await expect(executable.run(neutralUniforms)).rejects.toThrow(EngineError);
    bench.free();
  });

  test("an aborted run ends with the signal's reason, and the device goes on working", async () => {
    const bench = new Bench(device, chain(device, 100_000, 20_000));
    const executable = await device.compile(bench.program, bench.arenas);
    const controller = new AbortController();
    const reason = new Error("learner pressed Stop");
    const run = executable.run(neutralUniforms, { signal: controller.signal });
    const started = performance.now();
    setTimeout(() => controller.abort(reason), 30);
    await expect(run).rejects.toBe(reason);
    expect(performance.now() - started).toBeLessThan(1000);
    const already = executable.run(neutralUniforms, { signal: AbortSignal.abort(reason) });
    await expect(already).rejects.toBe(reason);
    bench.free();
    const { y } = await runOne(device, {
      op: "add",
      operands: { a: { shape: [1], data: [1] }, b: { shape: [1], data: [2] }, y: { shape: [1] } },
    });
    expectClose(y, [3], {});
  });

  test("timers fire while a long Program runs", async () => {
    const bench = new Bench(device, chain(device, name === "cpu" ? 100_000 : 1000, 2000)); // at least some milliseconds
    const executable = await device.compile(bench.program, bench.arenas);
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 1);
    await executable.run(neutralUniforms);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
    bench.free();
  });

  test("the same run gives the same bits", async () => {
    const make = new Make("f32");
    const one = {
      op: "linear",
      operands: { x: make.act([33, 257]), w: make.weight([65, 257]), y: make.out([33, 65]) },
      attrs: { scale: 1 },
    } as const;
    expect((await runOne(device, one))["y"]).toEqual((await runOne(device, one))["y"]);
  });

  test("says what it is", () => {
    expect(device.name).toBe(name);
    expect(device.info.description).not.toBe("");
    expect(device.info.threads).toBeGreaterThan(0);
    expect(device.info.computeDTypes).toContain("f32");
  });
});

test("a disposed device frees its arenas and refuses every later call", async () => {
  const { referenceDevice } = await import("../../../src/engine/reference/index.js");
  const device = referenceDevice();
  const arena = device.allocate("io", 8);
  await device.dispose();
  await device.dispose();
  expect(device.allocated().io).toBe(0);
  expect(() => device.allocate("io", 8)).toThrow("the device reference was disposed");
  await expect(arena.read(0, 8)).rejects.toThrow("the device reference was disposed");
});

test("a run on an arena that was freed since, or of another device, is refused by name", async () => {
  const device = await openDevice("reference");
  const bench = new Bench(device, chain(device, 3, 1));
  const executable = await device.compile(bench.program, bench.arenas);
  bench.free();
  await expect(executable.run(neutralUniforms)).rejects.toThrow(
    'program "chain": op 0 add: the arena activations was freed',
  );
  const { referenceDevice } = await import("../../../src/engine/reference/index.js");
  const foreign = new Bench(referenceDevice(), chain(device, 3, 1));
  await expect(device.compile(foreign.program, foreign.arenas)).rejects.toThrow(
    'program "chain": the arena activations was not allocated by this device',
  );
});

test("uniforms that are missing or not numbers are refused by name", async () => {
  const device = await openDevice("reference");
  const bench = new Bench(device, chain(device, 3, 1));
  await expect(bench.run({ learningRate: Number.NaN })).rejects.toThrow(
    'program "chain": uniform learningRate is NaN, expected a finite number',
  );
  await expect(bench.run({ step: 0 })).rejects.toThrow(
    'program "chain": uniform step is 0, expected a whole number from 1 to 4294967295',
  );
  await expect(bench.run({ seed: -1 })).rejects.toThrow(
    'program "chain": uniform seed is -1, expected a whole number from 0 to 4294967295',
  );
  bench.free();
});
