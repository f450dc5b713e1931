// bf16 and f16 as IEEE has them: known bit patterns, ties to even, what overflows, what stays NaN.

import { describe, expect, test } from "vitest";
import { decode, encode, fromBf16, fromF16, roundTo, toBf16, toF16 } from "../../src/engine/number.js";

describe("bf16", () => {
  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3f80],
    [-2, 0xc000],
    [Math.PI, 0x4049],
    [Infinity, 0x7f80],
    [3.3895313892515355e38, 0x7f7f],
  ])("%f is %i", (value, bits) => {
    expect(toBf16(value)).toBe(bits);
  });

  test("halves go to the even neighbour, a little more goes up", () => {
    expect(roundTo(1 + 2 ** -8, "bf16")).toBe(1);
    expect(roundTo(1 + 3 * 2 ** -8, "bf16")).toBe(1 + 2 ** -6);
    expect(roundTo(1 + 2 ** -8 + 2 ** -20, "bf16")).toBe(1 + 2 ** -7);
  });

  test("beyond the largest number is infinite, and NaN stays NaN", () => {
    expect(roundTo(3.4e38, "bf16")).toBe(Infinity);
    expect(roundTo(Number.NaN, "bf16")).toBeNaN();
  });

  test("all 65536 patterns survive the way to a number and back", () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromBf16(bits);
      if (!Number.isNaN(value)) expect(toBf16(value)).toBe(bits);
    }
  });
});

describe("f16", () => {
  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [0.333251953125, 0x3555],
    [-Infinity, 0xfc00],
  ])("%f is %i", (value, bits) => {
    expect(toF16(value)).toBe(bits);
  });

  test("halves go to the even neighbour, also where the exponent changes", () => {
    expect(roundTo(2049, "f16")).toBe(2048);
    expect(roundTo(2051, "f16")).toBe(2052);
    expect(roundTo(2 - 2 ** -11, "f16")).toBe(2);
    expect(roundTo(Number.NaN, "f16")).toBeNaN();
  });

  test("all 65536 patterns survive the way to a number and back", () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromF16(bits);
      if (!Number.isNaN(value)) expect(toF16(value)).toBe(bits);
    }
  });
});

test("bytes are little endian, whatever their offset in a larger buffer", () => {
  expect([...encode([1, -2], "f32")]).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
  expect([...encode([1, -2], "bf16")]).toEqual([0x80, 0x3f, 0, 0xc0]);
  expect([...encode([1, -2], "f16")]).toEqual([0, 0x3c, 0, 0xc0]);
  expect([...encode([258, -1], "i32")]).toEqual([2, 1, 0, 0, 255, 255, 255, 255]);
  const shifted = new Uint8Array(9);
  shifted.set(encode([1.5, -7], "f32"), 1);
  expect([...decode(shifted.subarray(1), "f32")]).toEqual([1.5, -7]);
  expect([...decode(encode([3, -4], "i32"), "i32")]).toEqual([3, -4]);
});
