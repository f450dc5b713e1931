// What is said of numbers that are not finite: judged on every pattern of 16 bits, at either place of a word.

import { expect, test } from "vitest";
import { fromBf16, fromF16 } from "../../../src/engine/number.js";
import { addFaults, faultsIn } from "../../../src/model/weights/faults.js";

test.each([
  ["bf16", fromBf16],
  ["f16", fromF16],
] as const)("every number of %s is finite or found, whichever half of a word it is", (dtype, from16) => {
  const halves = new Uint16Array(4);
  const piece = new Uint8Array(halves.buffer);
  for (let bits = 0; bits < 0x10000; bits++) {
    for (const at of [0, 3]) {
      halves.fill(0x8000); // -0: no carry may come from a neighbour
      halves[at] = bits;
      const found = faultsIn(piece, { name: "w", dtype, shape: [12] }, 4);
      const value = from16(bits);
      if (Number.isFinite(value) ? found !== undefined : !Object.is(found?.value, value) || found?.at !== 2 + at) {
        expect.fail(`${bits.toString(16)} at ${at} is ${value}, found ${JSON.stringify(found)}`);
      }
    }
  }
});

test("a piece of an odd length, and pieces of one tensor together", () => {
  const spec = { name: "w", dtype: "bf16", shape: [5] } as const;
  const piece = (...bits: number[]) => new Uint8Array(Uint16Array.from(bits).buffer);
  expect(faultsIn(piece(0, 0, 0), spec, 0)).toBeUndefined();
  const both = addFaults(faultsIn(piece(0, 0xff80), spec, 0), faultsIn(piece(0x7fc0, 0, 0x7f80), spec, 4));
  expect(both).toEqual({ tensor: "w", count: 5, nans: 1, infinities: 2, at: 1, value: -Infinity });
  expect(addFaults(undefined, both)).toBe(both);
});

test("numbers of f32", () => {
  const piece = new Uint8Array(Float32Array.of(3.4e38, -Infinity, Number.NaN, 0).buffer);
  const spec = { name: "w", dtype: "f32", shape: [2, 2] } as const;
  expect(faultsIn(piece, spec, 0)).toEqual({ tensor: "w", count: 4, nans: 1, infinities: 1, at: 1, value: -Infinity });
  expect(faultsIn(piece.subarray(0, 4), spec, 0)).toBeUndefined();
});
