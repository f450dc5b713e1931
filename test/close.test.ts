// The judge judged: what expectClose lets through and what it does not.

import { expect, test } from "vitest";
import { expectClose } from "./close.js";

test("values within absolute + relative * |expected| pass", () => {
  expectClose([1.045, -9.9], [1, -10], { absolute: 0.02, relative: 0.03 });
  expectClose(Float32Array.of(0.5), Float64Array.of(0.5), {});
  expectClose(3, 3, {});
});

test("a value just outside fails and is named with index, expected and actual", () => {
  expect(() => expectClose([1, 2.2, 4], [1, 2, 3], { absolute: 0.1 })).toThrow(
    "values: 2 of 3 differ by more than 0.1 + 0 * |expected|; first [1] expected 2, got 2.2; worst [2] expected 3, got 4",
  );
});

test("NaN fails on either side, whatever the tolerance", () => {
  expect(() => expectClose([Number.NaN], [0], { absolute: Infinity })).toThrow("[0] expected 0, got NaN");
  expect(() => expectClose([0], [Number.NaN], { absolute: Infinity })).toThrow("[0] expected NaN, got 0");
  expect(() => expectClose([Number.NaN], [Number.NaN], { absolute: 1 })).toThrow("got NaN");
});

test("an infinity is met by the same infinity only", () => {
  expectClose([-Infinity], [-Infinity], {});
  expect(() => expectClose([Infinity], [1e30], { relative: 10 })).toThrow("got Infinity");
  expect(() => expectClose([1e30], [Infinity], { relative: 10 })).toThrow("expected Infinity");
});

test("a missing value or a different length fails", () => {
  expect(() => expectClose([1], [1, 2], { absolute: 9 }, "loss")).toThrow("loss: expected 2 values, got 1");
  expect(() => expectClose(undefined, 1, { absolute: 9 })).toThrow("expected 1 values, got 0");
  expect(() => expectClose(new Array<number>(1), [1], { absolute: 9 })).toThrow("got undefined");
});
