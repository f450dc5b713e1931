// What the cuda device promises beyond the contract of all devices, judged on a simulated GPU: same bits in any order of warps, scratch as
// planned, words for what is missing, memory that comes back.

import { afterAll, describe, expect, test } from "vitest";
import { findGpus, otherGpus } from "../../../src/engine/cuda.js";
import { type Device, EngineError } from "../../../src/engine/device.js";
import { neutralUniforms } from "../../../src/engine/ops.js";
import type { Program } from "../../../src/engine/program.js";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { expectClose } from "../../close.js";
import { Bench, type OneOp, programOf, runOne, seeded } from "../contract/build.js";
import { quantizedCases } from "../contract/cases-quantized.js";
import { reasonAgainst } from "../contract/devices.js";
import { allCases } from "../contract/judge.js";
import { type Act, Make } from "../contract/make.js";
import { library, notBuilt, simulatedGpu } from "./simulated.js";

/** Matrices in few bits are refused (contract/quantized.test.ts), and some ops have no kernel yet. */
const ownCases = allCases.filter(
  (one) => !quantizedCases.includes(one) && reasonAgainst({ name: "cuda-sim" }, one.op) === undefined,
);

const half = (shape: readonly number[], seed: number, spread = 1) =>
  ({ dtype: "bf16", shape, data: seeded(shape, seed, spread) }) as const;

/** Large enough for large tiles, and with few results over a long sum, which is split. */
const products: readonly (OneOp & { readonly title: string })[] = [
  {
    title: "large tiles, an adapter, a bias",
    op: "linear",
    operands: {
      x: half([897, 40], 1),
      w: half([897, 40], 2, 1 / 6),
      bias: half([897], 3),
      h: half([897, 8], 4),
      b: half([897, 8], 5, 1 / 3),
      y: { dtype: "bf16", shape: [897, 897] },
    },
    attrs: { scale: 0.5 },
  },
  {
    title: "sums in many parts, the adapter's first",
    op: "linear",
    operands: {
      x: half([70, 1000], 6),
      w: half([65, 1000], 7, 1 / 32),
      h: half([70, 200], 8),
      b: half([65, 200], 9, 1 / 14),
      y: { shape: [70, 65] },
    },
    attrs: { scale: 0.37 },
  },
  {
    title: "sums in many parts, the adapter's last, added to what is there",
    op: "linearInput",
    operands: {
      dy: half([70, 1000], 10),
      w: half([1000, 72], 11, 1 / 32),
      g: half([70, 200], 12),
      a: half([200, 72], 13, 1 / 14),
      dx: half([70, 72], 14),
    },
    attrs: { alpha: 0.37, accumulate: 1 },
  },
  {
    title: "a thin gradient over many rows",
    op: "linearWeight",
    operands: {
      dy: half([1500, 16], 15),
      x: half([1500, 72], 16, 1 / 32),
      dW: { shape: [16, 72], data: seeded([16, 72], 17) },
    },
    attrs: { alpha: 2 },
  },
  {
    title: "sums in many parts in f32",
    op: "linear",
    operands: {
      x: { shape: [70, 1000], data: seeded([70, 1000], 18) },
      w: { shape: [65, 1000], data: seeded([65, 1000], 19, 1 / 32) },
      y: { shape: [70, 65] },
    },
    attrs: { scale: 1 },
  },
];

describe.skipIf(notBuilt)(`a simulated GPU${notBuilt ? ` (${notBuilt})` : ""}`, () => {
  const [inOrder, inReverse] = notBuilt ? ([] as Device[]) : [simulatedGpu(0), simulatedGpu(1)];
  afterAll(async () => {
    for (const device of [inOrder, inReverse]) await device?.dispose();
  });

  describe.each(products)("$title", (given) => {
    test("gives the exact sums, and the same bits whatever the order of the warps", async () => {
      const expected = await runOne(referenceDevice({ exact: true }), given);
      const [actual, again] = [await runOne(inOrder, given), await runOne(inReverse, given)];
      for (const [name, values] of Object.entries(expected)) {
        const relative = given.operands[name]?.dtype === "bf16" ? 2 ** -7 : 2e-5;
        expectClose(actual[name], values, { absolute: 5e-5, relative }, name);
        expectClose(again[name], actual[name] ?? [], {}, name);
      }
    });
  });

  test("warps in reverse order change no bit of any op", async () => {
    const chosen = new Map(ownCases.filter(({ only }) => only !== "f16").map((one) => [one.op, one]));
    for (const { op, make, only } of chosen.values()) {
      for (const dtype of (only ? [only] : ["bf16", "f32"]) as Act[]) {
        const [expected, actual] = [
          await runOne(inOrder, await make(new Make(dtype))),
          await runOne(inReverse, await make(new Make(dtype))),
        ];
        for (const [name, values] of Object.entries(expected)) {
          if (name !== "logits") expectClose(actual[name], values, {}, `${op} ${name} in ${dtype}`);
        }
      }
    }
  });

  test("every case compiles with the planned scratch, and not with one byte less", async () => {
    let some = 0;
    const needy = ownCases.filter(({ op }) => /^(linear|headLoss|sumSquares)/.test(op));
    for (const { make, only } of [...needy, ...ownCases.filter(({ op }) => op === "attentionBackward").slice(0, 3)]) {
      const program = programOf(inOrder, await make(new Make(only ?? "bf16")));
      const bench = new Bench(inOrder, program);
      (await inOrder.compile(program, bench.arenas)).dispose();
      const [op] = program.ops as [Program["ops"][number]];
      if (op.workspace.bytes > 0) {
        some += 1;
        const less = { ...program, ops: [{ ...op, workspace: { offset: 0, bytes: op.workspace.bytes - 1 } }] };
        await expect(inOrder.compile(less, bench.arenas)).rejects.toThrow(
          `workspace has ${op.workspace.bytes - 1} bytes, expected ${op.workspace.bytes}`,
        );
      }
      bench.free();
    }
    expect(some).toBeGreaterThan(20);
  });

  test("heads wider than the tensor cores' kernels take are computed all the same, and beyond 256 dimensions refused", async () => {
    const attention = (headDim: number): OneOp => ({
      op: "attention",
      operands: {
        q: half([5, headDim], 1),
        k: half([5, headDim], 2),
        v: half([5, headDim], 3),
        ranges: { dtype: "i32", shape: [5, 2], data: [0, 1, 0, 2, 0, 3, 0, 4, 0, 5] },
        o: { dtype: "bf16", shape: [5, headDim] },
        lse: { shape: [5, 1] },
      },
      attrs: { batch: 1, heads: 1, kvHeads: 1, scale: 1 / 16 },
    });
    const expected = await runOne(referenceDevice({ exact: true }), attention(200));
    expectClose((await runOne(inOrder, attention(200)))["o"], expected["o"] ?? [], {
      absolute: 1e-2,
      relative: 2 ** -7,
    });
    await expect(runOne(inOrder, attention(264))).rejects.toThrow(
      'program "attention": op 0 attention: has 264 dimensions per head, expected at most 256 on a GPU',
    );
  });

  test("a Program of more launches than one graph holds runs whole, again and again, and its memory comes back", async () => {
    const before = inOrder.allocated();
    const free = (inOrder as ReturnType<typeof simulatedGpu>).state().freeBytes;
    const one = programOf(inOrder, {
      op: "add",
      operands: { a: { shape: [3] }, b: { shape: [3] }, y: { shape: [3], sameAs: "a" } },
    });
    for (let round = 0; round < 3; round++) {
      const bench = new Bench(inOrder, {
        ...one,
        ops: Array.from({ length: 150 }, () => one.ops[0] as Program["ops"][number]),
      });
      await bench.write("a", [0, 0, 0]);
      await bench.write("b", [1, 2, 3]);
      const executable = await inOrder.compile(bench.program, bench.arenas);
      await executable.run(neutralUniforms);
      await executable.run(neutralUniforms);
      expectClose(await bench.read("a"), [300, 600, 900], {});
      executable.dispose();
      bench.free();
    }
    expect(inOrder.allocated()).toEqual(before);
    await inOrder.allocate("io", 16).read(0, 1);
    expect(free - (inOrder as ReturnType<typeof simulatedGpu>).state().freeBytes).toBeLessThanOrEqual(16);
  });

  test("memory that was just freed can be had again at once", async () => {
    const small = simulatedGpu(3);
    for (let round = 0; round < 5; round++) small.allocate("weights", 900_000).free();
    await small.dispose();
  });

  test("too little memory is an error with what is free, in all, and who has it, as far as that can be known", async () => {
    const small = simulatedGpu(3);
    const message =
      /^allocate: no room for 2000000 bytes of weights; 10\d+ of 1048576 are free on the GPU; which processes hold memory is not available \(no NVML\)$/;
    expect(() => small.allocate("weights", 2_000_000)).toThrow(EngineError);
    expect(() => small.allocate("weights", 2_000_000)).toThrow(message);
    await small.dispose();
    expect(() => small.allocate("weights", 1)).toThrow("the device cuda-sim was disposed");
  });

  test("a card that is too old is refused with what it has, what is needed and which work", () => {
    expect(() => simulatedGpu(2)).toThrow(
      "cuda: simulated old GPU has compute capability 7.5, expected 8.0 or newer: A100, A10, RTX 30, L4, RTX 40, H100 and later work",
    );
  });

  test("a GPU that is not there is refused with how many there are", () => {
    expect(() => simulatedGpu(9)).toThrow(
      "cuda: there is no GPU 9: the driver shows 4 (CUDA_VISIBLE_DEVICES chooses which)",
    );
    expect(() => simulatedGpu(0.5)).toThrow("cuda: expected the GPU's number to be a whole number from 0, got 0.5");
  });

  test("all GPUs are listed, usable or not", () => {
    const { gpus, cuda } = findGpus(library);
    expect(cuda).toBe("13.0");
    expect(gpus.map(({ index, name, major, minor }) => `${index} ${name} ${major}.${minor}`)).toEqual([
      "0 simulated GPU, warps in order 8.0",
      "1 simulated GPU, warps in reverse 8.0",
      "2 simulated old GPU 7.5",
      "3 simulated small GPU 8.0",
    ]);
    expect(otherGpus(library).map(({ name, usable, description }) => [name, usable, description.slice(-50)])).toEqual([
      ["cuda:1", true, expect.stringContaining("driver of unknown version (CUDA 13.0)")],
      ["cuda:2", false, expect.stringContaining(": compute capability 8.0 or newer is needed")],
      ["cuda:3", true, expect.stringContaining("driver of unknown version (CUDA 13.0)")],
    ]);
  });
});
