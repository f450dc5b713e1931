// What exact mode keeps and what rounding mode rounds.

import { expect, test } from "vitest";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { expectClose } from "../../close.js";
import { Bench, type OneOp, programOf, runOne } from "../contract/build.js";

/** a + b, then minus a: what is left of b shows how the sum was kept. */
async function remainder(exact: boolean, big: number, small: number): Promise<number> {
  const device = referenceDevice({ exact });
  const one: OneOp = { op: "add", operands: { a: { shape: [1] }, b: { shape: [1] }, y: { shape: [1] } } };
  const sum = programOf(device, one);
  const twice = { ...sum, ops: [sum.ops[0], { ...sum.ops[0], inputs: [2, 3], outputs: [4] }] };
  const arenaBytes = { ...sum.arenaBytes, activations: 5 * 256 };
  const buffers = ["a", "b", "y", "minus", "rest"].map((name, i) => ({ ...sum.buffers[0], name, offset: i * 256 }));
  const bench = new Bench(device, { ...twice, arenaBytes, buffers });
  await bench.write("a", [big]);
  await bench.write("b", [small]);
  await bench.write("minus", [-big]);
  await bench.run();
  return (await bench.read("rest"))[0];
}

test("exact mode keeps 1 + 2^-30 between ops, rounding mode keeps 1", async () => {
  expect(await remainder(true, 1, 2 ** -30)).toBe(2 ** -30);
  expect(await remainder(false, 1, 2 ** -30)).toBe(0);
});

test("reading an exact arena rounds to the buffer's dtype", async () => {
  const y = { dtype: "bf16", shape: [1] } as const;
  const operands = { x: { shape: [1], data: [1 + 2 ** -8 + 2 ** -20] }, y };
  const read = await runOne(referenceDevice({ exact: true }), { op: "cast", operands });
  expect(read["y"][0]).toBe(1 + 2 ** -7);
});

test("what the host writes replaces what exact mode knew, also when it writes a part", async () => {
  const device = referenceDevice({ exact: true });
  const operands = { x: { shape: [2] }, y: { shape: [2] } };
  const bench = new Bench(device, programOf(device, { op: "dropout", operands, attrs: { p: 0, stream: 0 } }));
  await bench.write("x", [1, 2]);
  await bench.run();
  const y = bench.find("y");
  await bench.arenas.activations?.write(y.offset + 4, new Uint8Array([0, 0, 0x40, 0x40]));
  expectClose(await bench.read("y"), [1, 3], {});
  const swapped = { ...bench.program, ops: [{ ...bench.program.ops[0], inputs: [1], outputs: [0] }] };
  const back = await device.compile(swapped, bench.arenas);
  await back.run({ learningRate: 0, step: 1, gradScale: 1, clipNorm: 0, lossScale: 1, seed: 0, micro: 0 });
  expectClose(await bench.read("x"), [1, 3], {});
});

test("a product in bf16 rounds an f32 weight on its way in, and exact mode does not", async () => {
  const one: OneOp = {
    op: "linear",
    operands: {
      x: { dtype: "bf16", shape: [1, 1], data: [1] },
      w: { shape: [1, 1], data: [1 + 2 ** -10] },
      y: { shape: [1, 1] },
    },
    attrs: { scale: 1 },
  };
  expect((await runOne(referenceDevice(), one))["y"][0]).toBe(1);
  expect((await runOne(referenceDevice({ exact: true }), one))["y"][0]).toBe(1 + 2 ** -10);
});
