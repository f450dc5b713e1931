// Every op on every device agrees with the exact reference, whatever the shape, dtype, mask and optional operands.

import { expect, test } from "vitest";
import { ops } from "../../../src/engine/ops.js";
import { onEveryDevice } from "./devices.js";
import { allCases, judgeValues } from "./judge.js";

test("every op of the table has cases", () => {
  expect([...new Set(allCases.map(({ op }) => op))].sort()).toEqual(Object.keys(ops).sort());
});

test("no two cases share a title, by which their results are kept", () => {
  const titles = allCases.map(({ title }) => title);
  expect(titles.filter((title, i) => titles.indexOf(title) !== i)).toEqual([]);
});

onEveryDevice(judgeValues);
