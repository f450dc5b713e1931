import { describe, expect, test } from "vitest";
import { bf16ToF32, convert, f16ToF32, f32ToBf16, f32ToF16 } from "../../../src/model/weights/convert.js";

/** The value of binary16 bits, by the definition of IEEE 754. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The value of bfloat16 bits, by definition. */
function brain(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 7) & 255, bits & 127];
  if (exponent === 255) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -133 : sign * (1 + fraction / 128) * 2 ** (exponent - 127);
}

describe.each([
  ["f16", half, f32ToF16, f16ToF32],
  ["bf16", brain, f32ToBf16, bf16ToF32],
] as const)("%s", (_, meaningOf, narrow, widen) => {
  const all = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

  test("every value widens to what its bits mean, and narrows back to the same bits", () => {
    const wide = widen(all);
    const wrong = [...all].filter((bits) => !Object.is(wide[bits], meaningOf(bits)));
    expect(wrong).toEqual([]);
    const back = narrow(wide);
    expect([...all].filter((bits) => !Number.isNaN(meaningOf(bits)) && back[bits] !== bits)).toEqual([]);
    expect(
      [...all].filter((bits) => Number.isNaN(meaningOf(bits)) && !Number.isNaN(meaningOf(back[bits] as number))),
    ).toEqual([]);
  });

  test("a number between two neighbours goes to the nearer, and half way to the even one", () => {
    const wrong: number[] = [];
    for (let bits = 0; meaningOf(bits + 1) < Number.POSITIVE_INFINITY; bits++) {
      const [low, high] = [meaningOf(bits), meaningOf(bits + 1)];
      const middle = (low + high) / 2; // one bit more than the format holds: exact in f32
      if (Math.fround(middle) !== middle) continue; // below the smallest f32 subnormal step
      const next = new Float32Array(
        new Uint32Array([new Uint32Array(Float32Array.of(middle).buffer)[0]! + 1]).buffer,
      )[0]!;
      const before = new Float32Array(
        new Uint32Array([new Uint32Array(Float32Array.of(middle).buffer)[0]! - 1]).buffer,
      )[0]!;
      const got = narrow(Float32Array.of(middle, next, before, -middle));
      const even = bits % 2 === 0 ? bits : bits + 1;
      if (got[0] !== even || got[1] !== bits + 1 || got[2] !== bits || got[3] !== (even | 0x8000)) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  test("too large becomes infinity", () => {
    expect(meaningOf(narrow(Float32Array.of(3.4028234663852886e38))[0]!)).toBe(Number.POSITIVE_INFINITY);
  });
});

test("65519 is the largest number below 65520 = infinity in f16", () => {
  expect([...f32ToF16(Float32Array.of(65519, 65520))]).toEqual([0x7bff, 0x7c00]);
});

test("stored bytes are converted from any place in a buffer", () => {
  const buffer = new Uint8Array(13);
  buffer.set(new Uint8Array(Float64Array.of(1.5).buffer), 5);
  expect(new Float32Array(convert(buffer.subarray(5), "F64", "f32")!.buffer)).toEqual(Float32Array.of(1.5));
  expect(convert(new Uint8Array(4), "I32", "f32")).toBeUndefined();
});
