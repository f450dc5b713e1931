// The counter's bits against the published values of MurmurHash3's finaliser, and what is made of them.

import { expect, test } from "vitest";
import { bitsAt, keepsElement, normalAt, permutation, uniformAt } from "../../src/engine/random.js";

/** The word that makes the first round of bitsAt mix exactly `value`. */
const wordFor = (value: number) => (Math.imul(0x9e3779b9, 0x01000193) ^ value) >>> 0;

// MurmurHash3_x86_32 of the empty string is the finaliser of its seed: the reference implementation's vectors for seeds 0, 1 and 2^32 - 1.
test.each([
  [0x00000000, 0x00000000],
  [0x00000001, 0x514e28b7],
  [0xffffffff, 0x81f16f39],
])("one word is mixed by MurmurHash3's finaliser: %i", (seed, hash) => {
  expect(bitsAt(wordFor(seed))).toBe(hash);
});

test("every word and its place matter", () => {
  const bits = [bitsAt(1, 2), bitsAt(2, 1), bitsAt(1, 2, 0), bitsAt(1), bitsAt(1, 3), bitsAt(-1, 2)];
  expect(new Set(bits).size).toBe(bits.length);
  for (const value of bits) expect(Number.isInteger(value) && value >= 0 && value < 2 ** 32).toBe(true);
});

test("uniformAt fills [0, 1) evenly: 10 000 numbers have the mean and the spread of the uniform distribution", () => {
  const values = Array.from({ length: 10_000 }, (_, i) => uniformAt(42, i));
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  // Five standard errors: sqrt(1/12 / 10000) = 0.0029 for the mean, sqrt(1/180 / 10000) = 0.00075 for the variance.
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.0145);
  expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.0038);
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
});

test("normalAt is a standard normal: its first four moments are 0, 1, 0 and 3", () => {
  const values = Array.from({ length: 20_000 }, (_, i) => normalAt(7, i));
  const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
  // Five standard errors: variances of x, x², x³ and x⁴ are 1, 2, 15 and 96.
  expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / 20_000));
  expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / 20_000));
  expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / 20_000));
  expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / 20_000));
});

test("keepsElement keeps 1 - p of the elements, all for p 0, and others for another seed, step, micro or stream", () => {
  const kept = (...at: [number, number, number, number]) =>
    Array.from({ length: 10_000 }, (_, i) => keepsElement(0.1, ...at, i));
  const first = kept(1, 1, 0, 0);
  const share = first.filter(Boolean).length / first.length;
  expect(Math.abs(share - 0.9)).toBeLessThan(5 * Math.sqrt(0.09 / 10_000));
  expect(kept(1, 1, 0, 0)).toEqual(first);
  for (const other of [kept(2, 1, 0, 0), kept(1, 2, 0, 0), kept(1, 1, 1, 0), kept(1, 1, 0, 1)]) {
    // Independent masks differ in 2 * 0.9 * 0.1 of the places.
    const differing = other.filter((keeps, i) => keeps !== first[i]).length / first.length;
    expect(Math.abs(differing - 0.18)).toBeLessThan(5 * Math.sqrt((0.18 * 0.82) / 10_000));
  }
  expect(keepsElement(0, 1, 1, 0, 0, 5)).toBe(true);
});

test("permutation holds every index once, in an order of the seed and the round", () => {
  const order = permutation(1000, 3, 0);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(permutation(1000, 3, 0)).toEqual(order);
  expect(permutation(1000, 3, 1)).not.toEqual(order);
  expect(permutation(1000, 4, 0)).not.toEqual(order);
  expect([...permutation(0, 1, 1)]).toEqual([]);
});

test("all orders of three are as likely as each other", () => {
  const counts = new Map<string, number>();
  for (let round = 0; round < 6000; round++) {
    const order = permutation(3, 11, round).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  // Five standard errors of a count of 6000 draws with chance 1/6.
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt((6000 * 5) / 36));
});
