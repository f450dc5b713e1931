import { describe, expect, test } from "vitest";
import { type Row, splitRows } from "../../src/data/index.js";

const rows: Row[] = Array.from({ length: 2000 }, (_, i) => ({ kind: "text", text: `row ${i}` }));

describe("a split by content", () => {
  test("puts every row on one side, about as many as asked for in validation", () => {
    const { train, validation } = splitRows(rows, { validation: 0.1 });
    expect(train.length + validation.length).toBe(2000);
    // 200 expected, standard deviation 13.4: four of them.
    expect(Math.abs(validation.length - 200)).toBeLessThan(54);
  });

  test("moves no row across when rows are added or reordered, or the part grows", () => {
    const before = splitRows(rows, { validation: 0.1 });
    const more: Row[] = [...rows]
      .reverse()
      .concat(Array.from({ length: 500 }, (_, i) => ({ kind: "text", text: `new ${i}` })));
    const after = new Set(splitRows(more, { validation: 0.1 }).validation);
    expect(before.validation.filter((row) => !after.has(row))).toEqual([]);
    expect(before.train.filter((row) => after.has(row))).toEqual([]);
    const grown = new Set(splitRows(rows, { validation: 0.3 }).validation);
    expect(before.validation.every((row) => grown.has(row))).toBe(true);
  });

  test("keeps equal rows on one side", () => {
    const twice = [...rows.slice(0, 100), ...rows.slice(0, 100).map((row) => ({ ...row }))];
    const { validation } = splitRows(twice, { validation: 0.2 });
    const seen = validation.map((row) => JSON.stringify(row));
    expect(seen.every((text) => seen.filter((other) => other === text).length === 2)).toBe(true);
  });

  test("is another one for another seed", () => {
    const [one, two] = [1, 2].map((seed) => splitRows(rows, { validation: 0.1, seed }).validation);
    expect(one).not.toEqual(two);
  });

  test("leaves no side empty", () => {
    expect(splitRows(rows.slice(0, 2), { validation: 0.01 })).toMatchObject({ train: [{}], validation: [{}] });
    expect(splitRows(rows.slice(0, 2), { validation: 0.99 })).toMatchObject({ train: [{}], validation: [{}] });
  });

  test("is refused when nothing can be split", () => {
    expect(() => splitRows(rows, { validation: 0 })).toThrow("expected `validation` to be between 0 and 1, got 0");
    expect(() => splitRows(rows, { validation: Number.NaN })).toThrow("got NaN");
    expect(() => splitRows([rows[0]!, rows[0]!], { validation: 0.5 })).toThrow("got 2 rows with one content");
    expect(() => splitRows([], { validation: 0.5 })).toThrow("got 0 rows");
  });
});
