import { expect, test } from "vitest";
import { stepsOf } from "./compare.js";
import { busyBetween } from "./machine.js";
import { ratios, spread } from "./statistics.js";

test("the median of an even number of values lies between the middle two", () => {
  expect(spread([4, 1, 10, 2])).toEqual({ median: 3, least: 1, most: 10 });
});

test("the median of an odd number of values is the middle one, whatever their order", () => {
  expect(spread([100, 9, 8])).toEqual({ median: 9, least: 8, most: 100 });
});

test("a measurement that is no number is refused, not averaged away", () => {
  expect(() => spread([1, Number.NaN])).toThrow("spread: expected finite numbers, got NaN");
  expect(() => spread([])).toThrow("spread: there are no values");
});

test("ratios are taken between neighbours, so a machine that slows down for both changes none", () => {
  expect(ratios([3, 30, 6], [1, 10, 2])).toEqual({ median: 3, least: 3, most: 3 });
  expect(() => ratios([1], [1, 2])).toThrow("ratios: 1 measurements beside 2, expected pairs");
});

test("a turn has as many steps as fill it, and at least one", () => {
  expect(stepsOf(0.5, 0.06)).toBe(9);
  expect(stepsOf(0.5, 4)).toBe(1);
});

test("busy is the part of the processors' time in between that was not idle", () => {
  const reading = (user: number, idle: number) => ({ times: { user, nice: 0, sys: 0, idle, irq: 0 } });
  const [before, after] = [
    [reading(1000, 5000), reading(0, 0)],
    [reading(1100, 5000), reading(0, 100)],
  ];
  expect(busyBetween(before, after)).toBe(0.5);
});
