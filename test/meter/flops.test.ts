import { expect, test } from "vitest";
import { type Category, categories, type DType, type Op, type OpName, type Program } from "../../src/engine/index.js";
import { flopsOf, productBytes } from "../../src/meter/index.js";

type Operand = readonly [arena: Category, ...shape: number[]] | undefined;

/** A Program of ops whose operands are given by arena and shape, each a buffer of its own. */
function program(
  list: readonly { op: OpName; inputs: readonly Operand[]; outputs: readonly Operand[]; attrs: readonly number[] }[],
  dtype: DType = "f32",
): Program {
  const buffers: Program["buffers"][number][] = [];
  const add = (operand: Operand): number => {
    if (!operand) return -1;
    const [arena, ...shape] = operand;
    return buffers.push({ name: `b${buffers.length}`, arena, offset: 0, dtype, shape }) - 1;
  };
  const ops: Op[] = list.map(({ op, inputs, outputs, attrs }) => ({
    op,
    inputs: inputs.map(add),
    outputs: outputs.map(add),
    attrs,
    workspace: { offset: 0, bytes: 0 },
  }));
  const arenaBytes = Object.fromEntries(categories.map((category) => [category, 0])) as Program["arenaBytes"];
  return { name: "test", arenaBytes, buffers, ops };
}

const act = (...shape: number[]): Operand => ["activations", ...shape];
const weight = (...shape: number[]): Operand => ["weights", ...shape];

test("a matrix product is a multiplication and an addition for every row, input and output", () => {
  const plain = program([
    {
      op: "linear",
      inputs: [act(5, 7), weight(11, 7), undefined, undefined, undefined],
      outputs: [act(5, 11)],
      attrs: [0],
    },
  ]);
  expect(flopsOf(plain)).toEqual({ total: 770, byOp: { linear: 770 } }); // 2 * 5 * 7 * 11
});

test("an adapter's product adds its rank to the inner size, forward and backward", () => {
  const adapted = program([
    {
      op: "linear",
      inputs: [act(5, 7), weight(11, 7), undefined, act(5, 3), ["trained", 11, 3]],
      outputs: [act(5, 11)],
      attrs: [2],
    },
    {
      op: "linearInput",
      inputs: [act(5, 11), weight(11, 7), act(5, 3), ["trained", 3, 7]],
      outputs: [act(5, 7)],
      attrs: [1, 0],
    },
    { op: "linearWeight", inputs: [act(5, 11), act(5, 3)], outputs: [["gradients", 11, 3]], attrs: [2] },
  ]);
  // 770 + 2*5*3*11, 770 + 2*5*3*7, 2*11*5*3
  expect(flopsOf(adapted)).toEqual({ total: 2410, byOp: { linear: 1100, linearInput: 980, linearWeight: 330 } });
});

test("attention multiplies twice forward and five times backward, only where a query sees a key", () => {
  // 2 rows of 4 tokens, 2 heads of 3 numbers: one product over all pairs is 2 rows * 2 heads * 2 * 4 * 4 * 3 = 384.
  const [x, lse, ranges] = [act(8, 6), act(8, 2), act(8, 2)];
  const rows = program([
    { op: "attention", inputs: [x, x, x, ranges], outputs: [x, lse], attrs: [2, 2, 2, 1] },
    { op: "attentionBackward", inputs: [x, x, x, x, x, lse, ranges], outputs: [x, x, x], attrs: [2, 2, 2, 1] },
  ]);
  expect(flopsOf(rows).byOp).toEqual({ attention: 768, attentionBackward: 1920 });
  // Causal: 1 + 2 + 3 + 4 of 16 pairs.
  expect(flopsOf(rows, { seenPart: 10 / 16 }).byOp).toEqual({ attention: 480, attentionBackward: 1200 });
});

test("grouped queries multiply as often as ungrouped ones", () => {
  const grouped = program([
    {
      op: "attention",
      inputs: [act(4, 6), act(4, 3), act(4, 3), act(4, 2)],
      outputs: [act(4, 6), act(4, 2)],
      attrs: [1, 2, 1, 1],
    },
  ]);
  expect(flopsOf(grouped).total).toBe(384); // 2 products * 2 heads * 2 * 4 * 4 * 3
});

test("the head is multiplied once for the loss and once more for each gradient, for labels that count", () => {
  const head = (dx: Operand, dw: Operand) =>
    program([
      {
        op: "headLoss",
        inputs: [act(4, 3), weight(10, 3), act(4)],
        outputs: [act(4), act(2), dx, dw, act(2, 10)],
        attrs: [2],
      },
    ]);
  expect(flopsOf(head(undefined, undefined)).total).toBe(240); // 2 * 4 * 3 * 10
  expect(flopsOf(head(act(4, 3), undefined)).total).toBe(480);
  expect(flopsOf(head(act(4, 3), ["gradients", 10, 3]), { labelledPart: 3 / 4 }).total).toBe(540);
});

test("ops without a matrix product count nothing", () => {
  const norm = program([
    { op: "rmsNorm", inputs: [act(4, 6), weight(6)], outputs: [act(4, 6), act(4)], attrs: [1e-5] },
    { op: "add", inputs: [act(4, 6), act(4, 6)], outputs: [act(4, 6)], attrs: [] },
  ]);
  expect(flopsOf(norm)).toEqual({ total: 0, byOp: {} });
});

test("the bytes of products are those of matrices, without the embedding's table and without activations", () => {
  const token = program(
    [
      { op: "embedding", inputs: [weight(100, 8), act(1)], outputs: [act(1, 8)], attrs: [] },
      {
        op: "linear",
        inputs: [act(1, 8), weight(6, 8), undefined, undefined, undefined],
        outputs: [act(1, 6)],
        attrs: [0],
      },
    ],
    "bf16",
  );
  expect(productBytes(token)).toBe(96); // 6 * 8 * 2 bytes
});
