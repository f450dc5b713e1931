// What the tfjs device does besides arithmetic: no banner, no leaked tensor, weights converted once, the right package.

import * as tfModule from "@tensorflow/tfjs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { neutralUniforms } from "../../../src/engine/ops.js";
import { tfjsDevice } from "../../../src/engine/tfjs/index.js";
import { loadTf } from "../../../src/engine/tfjs/load.js";
import { expectClose } from "../../close.js";
import { Bench, programOf, runOne } from "../contract/build.js";
import { cases } from "../contract/cases.js";
import { attentionCases } from "../contract/cases-attention.js";
import { Make } from "../contract/make.js";

const tf = (tfModule as typeof tfModule & { readonly default?: typeof tfModule }).default ?? tfModule;

afterEach(() => vi.restoreAllMocks());

test("starts without TensorFlow.js's advertisement, and leaves its warnings on for others", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const device = await tfjsDevice();
  await runOne(device, {
    op: "add",
    operands: { a: { shape: [1], data: [1] }, b: { shape: [1], data: [1] }, y: { shape: [1] } },
  });
  expect(warn).not.toHaveBeenCalled();
  expect(tf.env().getBool("PROD")).toBe(false);
});

test("no op leaves a tensor behind", async () => {
  const device = await tfjsDevice();
  const before = tf.memory().numTensors;
  for (const { make, only } of [...cases, ...attentionCases]) {
    if (only === undefined || only === "f32") await runOne(device, await make(new Make("f32")));
  }
  expect(tf.memory().numTensors).toBe(before);
});

describe("a frozen weight", () => {
  const one = {
    op: "linear",
    operands: {
      x: { shape: [1, 2] },
      w: { dtype: "bf16", shape: [1, 2], arena: "weights" },
      y: { shape: [1, 1] },
    },
    attrs: { scale: 1 },
  } as const;

  test("is one tensor however often it is used, until its arena is freed", async () => {
    const device = await tfjsDevice();
    const before = tf.memory().numTensors;
    const bench = new Bench(device, programOf(device, one));
    await bench.write("x", [1, 2]);
    await bench.write("w", [3, 4]);
    for (let i = 0; i < 5; i++) await bench.run();
    expectClose(await bench.read("y"), [11], {});
    expect(tf.memory().numTensors).toBe(before + 1);
    bench.free();
    expect(tf.memory().numTensors).toBe(before);
  });

  test("is read again after the host has written it", async () => {
    const device = await tfjsDevice();
    const bench = new Bench(device, programOf(device, one));
    await bench.write("x", [1, 2]);
    await bench.write("w", [3, 4]);
    const executable = await device.compile(bench.program, bench.arenas);
    await executable.run(neutralUniforms);
    await bench.write("w", [-3, 5]);
    await executable.run(neutralUniforms);
    expectClose(await bench.read("y"), [7], {});
    bench.free();
  });

  test("is read again after an op has written it", async () => {
    const device = await tfjsDevice();
    const operands = { x: { shape: [1, 2] }, w: { shape: [1, 2], arena: "weights" }, y: { shape: [1, 1] } } as const;
    const program = programOf(device, { ...one, operands });
    const zero = { op: "zero", inputs: [], outputs: [1], attrs: [], workspace: { offset: 0, bytes: 0 } } as const;
    const bench = new Bench(device, { ...program, ops: [program.ops[0], zero, program.ops[0]] });
    await bench.write("x", [1, 2]);
    await bench.write("w", [3, 4]);
    await bench.run();
    expectClose(await bench.read("y"), [0], {});
    bench.free();
  });
});

describe("loadTf", () => {
  const missing = (name: string) =>
    Object.assign(new Error(`Cannot find package '${name}'`), { code: "ERR_MODULE_NOT_FOUND" });

  test("takes the user's native package first", async () => {
    const { description } = await loadTf(async (name) => {
      if (name === "@tensorflow/tfjs-node") return tf;
      throw missing(name);
    });
    expect(description).toBe(`@tensorflow/tfjs-node ${tf.version.tfjs}, backend cpu`);
  });

  test("falls back to the plain one and says what is installed but broken", async () => {
    const { description } = await loadTf(async (name) => {
      if (name === "@tensorflow/tfjs") return tf;
      if (name === "@tensorflow/tfjs-node")
        throw new Error("The specified module could not be found.\nlibtensorflow.so");
      throw missing(name);
    });
    expect(description).toBe(
      `@tensorflow/tfjs ${tf.version.tfjs}, backend cpu; @tensorflow/tfjs-node: The specified module could not be found.`,
    );
  });

  test("names every reason when none can be loaded", async () => {
    await expect(loadTf(async (name) => Promise.reject(missing(name)))).rejects.toThrow(
      "no TensorFlow.js can be loaded: @tensorflow/tfjs-node-gpu: not installed; @tensorflow/tfjs-node: not installed; " +
        "@tensorflow/tfjs: not installed; `npm install @tensorflow/tfjs` brings one",
    );
  });
});
