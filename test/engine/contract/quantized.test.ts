// Codes and scales of matrices in few bits: the same bits on every device and instruction set, and those of numpy (golden/make_quantized.py).

import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { cpuDevice, cpuInstructionSets } from "../../../src/engine/cpu.js";
import type { Device } from "../../../src/engine/device.js";
import { type QuantizedDType, quantize, quantizedLayout } from "../../../src/engine/quantized.js";
import { Bench, type Operand, programOf, seeded } from "./build.js";
import { countedBytes, formats } from "./cases-quantized.js";
import { onEveryDevice } from "./devices.js";

interface Golden {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly matrix: readonly number[];
}
type Found = Readonly<
  Record<
    QuantizedDType,
    {
      readonly codes: string;
      readonly scales: readonly number[];
      readonly factors: readonly number[];
      readonly values: string;
    }
  >
>;

const golden = (
  JSON.parse(readFileSync(new URL("../../golden/quantized.json", import.meta.url), "utf8")) as {
    readonly cases: readonly (Golden & Found)[];
  }
).cases;

/** The bytes that a device's cast makes of numbers, and the numbers that its cast back makes of those. */
async function thereAndBack(device: Device, dtype: QuantizedDType, x: Operand) {
  const coded = { dtype, shape: x.shape, arena: "weights" as const };
  const there = new Bench(device, programOf(device, { op: "cast", operands: { x, y: coded } }));
  const back = new Bench(device, programOf(device, { op: "cast", operands: { x: coded, y: { shape: x.shape } } }));
  try {
    await there.write("x", x.data as ArrayLike<number>);
    await there.run();
    const bytes = await there.bytes("y");
    await back.arenas.weights?.write(0, bytes);
    await back.run();
    return { bytes, values: await back.bytes("y") };
  } finally {
    there.free();
    back.free();
  }
}

function judge(device: Device): void {
  const { noQuantized } = device.info;
  if (noQuantized !== undefined) {
    test.skip(`not run: ${noQuantized}`);
    test("a matrix in few bits is refused by name", async () => {
      const x: Operand = { shape: [2, 4], data: new Float32Array(8) };
      await expect(thereAndBack(device, "nf4", x)).rejects.toThrow(`does not read nf4: ${noQuantized}`);
    });
    return;
  }
  for (const dtype of formats) {
    test.each(golden.map((entry) => [entry.name, entry] as const))(
      `${dtype} of "%s" is that of numpy`,
      async (_, entry) => {
        const { shape, matrix } = entry;
        const { bytes, values } = await thereAndBack(device, dtype, { shape, data: matrix });
        const { rows, rowBytes, scales, factors } = quantizedLayout(dtype, shape);
        const found = entry[dtype];
        expect(Buffer.from(bytes.subarray(0, rows * rowBytes)).toString("hex")).toBe(found.codes);
        expect([...new Float32Array(bytes.slice(scales, factors).buffer)]).toEqual(found.scales);
        expect([...bytes.subarray(factors)]).toEqual(found.factors);
        // -0 and 0 are the same number.
        const expected = new Float32Array(Uint8Array.from(Buffer.from(found.values, "hex")).buffer);
        expect([...new Float32Array(values.slice().buffer)].map((v) => v + 0)).toEqual([...expected].map((v) => v + 0));
      },
    );

    test.each(["f32", "bf16", "f16"] as const)(
      `${dtype} of many numbers in %s has the codes of the formulas`,
      async (from) => {
        for (const [rows, columns] of [
          [37, 1026],
          [3, 64],
        ] as const) {
          const data = seeded([rows, columns], 9).map((value, i) => (i % 97 === 0 ? 30 * value : value));
          const bench = new Bench(
            device,
            programOf(device, { op: "zero", operands: { x: { dtype: from, shape: [rows, columns] } } }),
          );
          await bench.write("x", data);
          const rounded = await bench.read("x");
          bench.free();
          const { bytes } = await thereAndBack(device, dtype, { dtype: from, shape: [rows, columns], data: rounded });
          const expected = quantize(rounded, dtype, [rows, columns]);
          expect(countedBytes(bytes, dtype, [rows, columns])).toEqual(countedBytes(expected, dtype, [rows, columns]));
        }
      },
    );

    test(`${dtype} of rows that are tiny, huge or not finite has the codes of the formulas, and a NaN is not lost`, async () => {
      const rows = [1e-45, 3e-42, 1e-39, 1e38, Number.NaN, Infinity, -Infinity, 0];
      const data = rows.flatMap((first) => [
        first,
        ...seeded([65], 3).map((v) => v * (Number.isFinite(first) ? first : 1)),
      ]);
      const shape = [rows.length, 66] as const;
      const { bytes, values } = await thereAndBack(device, dtype, { shape, data });
      expect(countedBytes(bytes, dtype, shape)).toEqual(countedBytes(quantize(data, dtype, shape), dtype, shape));
      const read = new Float32Array(values.slice().buffer);
      for (const row of [4, 5, 6]) expect(read.subarray(row * 66, (row + 1) * 66).every(Number.isNaN)).toBe(true);
      expect(read.subarray(7 * 66).every((value) => value === 0)).toBe(true);
    });
  }
}

onEveryDevice(judge);

function others(): readonly string[] {
  try {
    return cpuInstructionSets();
  } catch {
    return []; // the suite above has said why
  }
}

describe.each(others())("cpu with %s", (isa) => {
  const device = cpuDevice({ isa });
  afterAll(() => device.dispose());
  judge(device);
});
