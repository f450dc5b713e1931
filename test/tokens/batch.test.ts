import { describe, expect, test } from "vitest";
import { IGNORED } from "../../src/engine/ops.js";
import { batches, type Encoded } from "../../src/tokens/index.js";

const _ = IGNORED;

function encoded(row: number, ids: readonly number[], from: number): Encoded {
  return { row, ids, trained: ids.map((_, i) => i >= from) };
}

test("a batch, worked by hand", () => {
  const rows = [encoded(10, [1, 5, 6, 2], 2), encoded(11, [1, 7], 1)];
  expect([...batches(rows, { batchSize: 2, pad: 0, multipleOf: 3 })]).toEqual([
    {
      batch: 2,
      seq: 6,
      tokens: Int32Array.of(1, 5, 6, 2, 0, 0, /**/ 1, 7, 0, 0, 0, 0),
      labels: Int32Array.of(_, 6, 2, _, _, _, /**/ 7, _, _, _, _, _),
      positions: Int32Array.of(0, 1, 2, 3, 0, 0, /**/ 0, 1, 0, 0, 0, 0),
      ranges: Int32Array.of(0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 0, /**/ 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0),
      tokenCount: 6,
      trainedCount: 3,
      rows: [10, 11],
    },
  ]);
});

test("the first token is never predicted, even where it is marked as trained", () => {
  const [batch] = batches([encoded(0, [1, 5], 0)], { batchSize: 1, pad: 0, multipleOf: 2 });
  expect(batch).toMatchObject({ labels: Int32Array.of(5, _), trainedCount: 1 });
});

test("the pad id in a row is a token like others", () => {
  const [batch] = batches([encoded(0, [1, 0, 2], 1)], { batchSize: 1, pad: 0, multipleOf: 4 });
  expect(batch).toMatchObject({ labels: Int32Array.of(0, 2, _, _), trainedCount: 2, tokenCount: 3 });
});

const many = Array.from({ length: 10 }, (_, row) =>
  encoded(
    row,
    Array.from({ length: 3 + row * 7 }, (_, i) => 100 * row + i),
    2,
  ),
);

test("the last batch is filled up with rows of padding", () => {
  const all = [...batches(many, { batchSize: 4, pad: 9 })];
  expect(all.map(({ batch, rows }) => [batch, rows.length])).toEqual([
    [4, 4],
    [4, 4],
    [4, 2],
  ]);
  const { tokens, labels, ranges, seq } = all[2]!;
  expect(new Set(tokens.subarray(2 * seq))).toEqual(new Set([9]));
  expect(new Set(labels.subarray(2 * seq))).toEqual(new Set([IGNORED]));
  expect(new Set(ranges.subarray(4 * seq))).toEqual(new Set([0]));
});

test("lengths are the longest row's, rounded up, but not beyond the limit", () => {
  const lengths = (options: object) => [...batches(many, { batchSize: 5, pad: 0, ...options })].map(({ seq }) => seq);
  expect(lengths({})).toEqual([32, 96]); // 31 and 66 tokens
  expect(lengths({ multipleOf: 1 })).toEqual([31, 66]);
  expect(lengths({ maxTokens: 70 })).toEqual([32, 70]);
});

describe("an order", () => {
  const order = (options: object) =>
    [...batches(many, { batchSize: 3, pad: 0, ...options })].flatMap(({ rows }) => rows);

  test("has every row once", () => {
    for (const epoch of [0, 1, 2]) expect(order({ seed: 1, epoch }).sort((a, b) => a - b)).toEqual([...many.keys()]);
  });

  test("is the rows' own without a seed, the same for the same seed and epoch, and another for others", () => {
    expect(order({})).toEqual([...many.keys()]);
    expect(order({ seed: 1, epoch: 1 })).toEqual(order({ seed: 1, epoch: 1 }));
    expect(order({ seed: 1, epoch: 1 })).not.toEqual(order({ seed: 1, epoch: 2 }));
    expect(order({ seed: 1, epoch: 1 })).not.toEqual(order({ seed: 2, epoch: 1 }));
  });
});

test.each([
  [{ batchSize: 0 }, "expected `batchSize` to be an integer from 1, got 0"],
  [{ multipleOf: 0.5 }, "expected `multipleOf` to be an integer from 1, got 0.5"],
  [{ maxTokens: 40 }, "batches: row 6 has 45 tokens, more than `maxTokens` 40"],
])("%j is refused", (options, message) => {
  expect(() => [...batches(many, { batchSize: 1, pad: 0, ...options })]).toThrow(message);
});

test("no rows are refused", () => {
  expect(() => [...batches([], { batchSize: 1, pad: 0 })]).toThrow("batches: there are no rows");
});
