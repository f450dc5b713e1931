// What every device refuses, in the same words: Programs that do not hold together, and ids that lead out of a table.

import { describe, expect, test } from "vitest";
import { type Device, EngineError } from "../../../src/engine/device.js";
import type { Op, Program } from "../../../src/engine/program.js";
import { Bench, type OneOp, type Operand, programOf, runOne } from "./build.js";
import { onEveryDevice } from "./devices.js";
import { ints } from "./make.js";

const of = (...shape: number[]): Operand => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });

const linear: OneOp = { op: "linear", operands: { x: of(2, 4), w: of(3, 4), y: of(2, 3) }, attrs: { scale: 1 } };
const attention: OneOp = {
  op: "attention",
  operands: {
    q: of(4, 12),
    k: of(6, 6),
    v: of(6, 6),
    ranges: ints([4, 2], [0, 1, 0, 2, 0, 1, 0, 2]),
    o: of(4, 12),
    lse: of(4, 4),
  },
  attrs: { batch: 2, heads: 4, kvHeads: 2, scale: 1 },
};
const rope: OneOp = {
  op: "rope",
  operands: { x: of(2, 8), cos: of(5, 2), sin: of(5, 2), positions: ints([2], [0, 1]), y: of(2, 8) },
  attrs: { heads: 2, interleaved: 0, inverse: 0 },
};
const headLoss: OneOp = {
  op: "headLoss",
  operands: { x: of(2, 4), w: of(5, 4), labels: ints([2], [0, 1]), nll: of(2), totals: of(2), logits: of(1, 5) },
  attrs: { chunk: 1 },
};
const adamw: OneOp = {
  op: "adamw",
  operands: { grad: of(4), total: of(1), param: of(4), m: of(4), v: of(4) },
  attrs: { beta1: 0.9, beta2: 0.99, eps: 1e-8, decay: 0, rateFactor: 1 },
};
const dropout: OneOp = { op: "dropout", operands: { x: of(4), y: of(4) }, attrs: { p: 0.5, stream: 1 } };

const withOperands = (one: OneOp, operands: OneOp["operands"]): OneOp => ({
  ...one,
  operands: { ...one.operands, ...operands },
});
const withAttrs = (one: OneOp, attrs: NonNullable<OneOp["attrs"]>): OneOp => ({
  ...one,
  attrs: { ...one.attrs, ...attrs },
});

interface Refusal {
  readonly one: OneOp;
  /** Damage to the Program. */
  readonly damage?: (program: Program) => Program;
  /** What every device says. */
  readonly message: string;
}

const opIs = (change: (op: Op) => Partial<Op>) => (program: Program) => ({
  ...program,
  ops: program.ops.map((op) => ({ ...op, ...change(op) })),
});
const bufferIs = (name: string, change: Partial<Program["buffers"][number]>) => (program: Program) => ({
  ...program,
  buffers: program.buffers.map((buffer) => (buffer.name === name ? { ...buffer, ...change } : buffer)),
});

const refusals: readonly Refusal[] = [
  // Shapes
  {
    one: withOperands(linear, { w: of(3, 2) }),
    message: 'program "linear": op 0 linear: input w has shape [3, 2], expected [N, 4]',
  },
  {
    one: withOperands(linear, { y: of(2, 4) }),
    message: 'program "linear": op 0 linear: output y has shape [2, 4], expected [2, 3]',
  },
  {
    one: withOperands(linear, { bias: of(4) }),
    message: 'program "linear": op 0 linear: input bias has shape [4], expected [3]',
  },
  {
    one: withOperands(linear, { x: of(2, 2, 2) }),
    message: 'program "linear": op 0 linear: input x has shape [2, 2, 2], expected [T, K]',
  },
  {
    one: withOperands(attention, { k: of(6, 8) }),
    message: 'program "attention": op 0 attention: input k has shape [6, 8], expected [2*S, 6]',
  },
  {
    one: withOperands(attention, { q: of(3, 12) }),
    message: 'program "attention": op 0 attention: input q has shape [3, 12], expected [2*Q, 4*D]',
  },
  {
    one: withOperands(rope, { cos: of(5, 3), sin: of(5, 3) }),
    message: 'program "rope": op 0 rope: input cos has 3 columns, expected at most half of a head\'s 4 dimensions',
  },
  {
    one: withOperands(headLoss, { logits: of(2, 5) }),
    message: 'program "headLoss": op 0 headLoss: output logits has shape [2, 5], expected [1, 5]',
  },
  {
    one: withOperands(adamw, { v: of(2, 2) }),
    message: 'program "adamw": op 0 adamw: output v has shape [2, 2], expected [4]',
  },
  // Dtypes
  {
    one: withOperands(rope, { positions: of(2) }),
    message: 'program "rope": op 0 rope: input positions has dtype f32, expected i32',
  },
  {
    one: withOperands(adamw, { grad: { ...of(4), dtype: "bf16" } }),
    message: 'program "adamw": op 0 adamw: input grad has dtype bf16, expected f32',
  },
  {
    one: withOperands(linear, { y: { ...of(2, 3), dtype: "bf16" } }),
    message: 'program "linear": op 0 linear: output y has dtype bf16, expected f32',
  },
  // Matrices in few bits
  {
    one: withOperands(linear, { x: of(2, 5), w: { ...of(3, 5), dtype: "nf4", arena: "weights" } }),
    message: 'program "linear": buffer 1 "w": shape is [3, 5], expected an even number of columns for nf4',
  },
  {
    one: withOperands(linear, { w: { ...of(3, 2, 2), dtype: "i8", arena: "weights" } }),
    message: 'program "linear": buffer 1 "w": shape is [3, 2, 2], expected a matrix [N, K] for i8',
  },
  {
    one: withOperands(linear, { w: { ...of(3, 4), dtype: "i8" } }),
    message: 'program "linear": buffer 1 "w": arena is activations, expected weights for i8',
  },
  {
    one: withOperands(linear, { h: of(2, 2), b: { ...of(3, 2), dtype: "i4", arena: "weights" } }),
    message: 'program "linear": op 0 linear: input b has dtype i4, expected f32 or bf16 or f16',
  },
  {
    one: withOperands(headLoss, { w: { ...of(5, 4), dtype: "i8", arena: "weights" } }),
    message: 'program "headLoss": op 0 headLoss: input w has dtype i8, expected f32 or bf16 or f16',
  },
  {
    one: { op: "zero", operands: { x: { ...of(2, 4), dtype: "nf4", arena: "weights" } } },
    message: 'program "zero": op 0 zero: output x has dtype nf4, expected f32 or bf16 or f16 or i32',
  },
  {
    one: {
      op: "cast",
      operands: {
        x: { ...of(2, 4), dtype: "i8", arena: "weights" },
        y: { shape: [2, 4], dtype: "nf4", arena: "weights" },
      },
    },
    message: 'program "cast": op 0 cast: output y has dtype nf4, expected f32 or bf16 or f16: input x is quantised too',
  },
  // Attributes
  {
    one: withAttrs(attention, { kvHeads: 3 }),
    message: 'program "attention": op 0 attention: attribute heads is 4, expected a multiple of kvHeads, 3',
  },
  {
    one: withAttrs(attention, { batch: 0 }),
    message: 'program "attention": op 0 attention: attribute batch is 0, expected a whole number from 1',
  },
  {
    one: withAttrs(rope, { interleaved: 2 }),
    message: 'program "rope": op 0 rope: attribute interleaved is 2, expected 0 or 1',
  },
  {
    one: withAttrs(dropout, { p: 1 }),
    message: 'program "dropout": op 0 dropout: attribute p is 1, expected at least 0 and below 1',
  },
  {
    one: withAttrs(dropout, { stream: -1 }),
    message: 'program "dropout": op 0 dropout: attribute stream is -1, expected a whole number from 0 to 4294967295',
  },
  {
    one: withAttrs(linear, { scale: Number.NaN }),
    message: 'program "linear": op 0 linear: attribute scale is NaN, expected a finite number',
  },
  // Operands
  {
    one: linear,
    damage: opIs(({ inputs }) => ({ inputs: [inputs[0], -1, ...inputs.slice(2)] })),
    message: 'program "linear": op 0 linear: input w is absent, and it is not optional',
  },
  {
    one: linear,
    damage: opIs(({ inputs }) => ({ inputs: [9, ...inputs.slice(1)] })),
    message: 'program "linear": op 0 linear: input x is buffer 9, expected 0 to 2',
  },
  {
    one: withOperands(linear, { h: of(2, 1) }),
    message: 'program "linear": op 0 linear: input b is absent, but input h is there',
  },
  {
    one: linear,
    damage: opIs(() => ({ attrs: [] })),
    message: 'program "linear": op 0 linear: has 0 attrs, expected 1: scale',
  },
  // Places
  {
    one: linear,
    damage: bufferIs("w", { offset: 12 }),
    message: 'program "linear": buffer 1 "w": offset is 12, expected a multiple of 256',
  },
  {
    one: linear,
    damage: bufferIs("y", { offset: 1024 }),
    message: 'program "linear": buffer 2 "y": ends at byte 1048 of the arena activations, which has 768',
  },
  {
    one: linear,
    damage: bufferIs("y", { shape: [2, 0] }),
    message: 'program "linear": buffer 2 "y": shape is [2, 0], expected whole numbers from 1',
  },
  {
    one: linear,
    damage: opIs(() => ({ workspace: { offset: 256, bytes: 64 * 1024 * 1024 } })),
    message: 'program "linear": op 0 linear: workspace: ends at byte 67109120 of the arena workspace, which has',
  },
  // Aliases
  {
    one: withOperands(linear, { w: of(2, 4), y: { shape: [2, 2], sameAs: "x" } }),
    message: 'program "linear": op 0 linear: output y shares memory with input x, which this op does not allow',
  },
  {
    one: adamw,
    damage: bufferIs("m", { offset: 512 }),
    message: 'program "adamw": op 0 adamw: output param shares memory with output m, which this op does not allow',
  },
  {
    one: { op: "add", operands: { a: of(100), b: of(100), y: of(100) } },
    damage: bufferIs("y", { offset: 256 }),
    message: 'program "add": op 0 add: output y shares memory with input a, but not with the same place and dtype',
  },
];

/** The message of a promise's EngineError. */
async function refusalOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(EngineError);
  return (error as EngineError).message;
}

async function compileMessage(device: Device, one: OneOp, damage: Refusal["damage"]): Promise<string> {
  const bench = new Bench(device, programOf(device, one));
  try {
    return await refusalOf(device.compile(damage ? damage(bench.program) : bench.program, bench.arenas));
  } finally {
    bench.free();
  }
}

/** Operands that lead out of a table when the Program runs. */
const strays: readonly { readonly one: OneOp; readonly message: string }[] = [
  {
    one: { op: "embedding", operands: { weight: of(5, 2), ids: ints([3], [0, 5, 9]), y: of(3, 2) } },
    message: 'program "embedding": op 0 embedding: ids[1] is 5, expected 0 to 4',
  },
  {
    one: { op: "embedding", operands: { weight: of(5, 2), ids: ints([3], [0, 1, -1]), y: of(3, 2) } },
    message: 'program "embedding": op 0 embedding: ids[2] is -1, expected 0 to 4',
  },
  {
    one: { op: "embeddingWeight", operands: { dy: of(2, 2), ids: ints([2], [0, 6]), dWeight: of(5, 2) } },
    message: 'program "embeddingWeight": op 0 embeddingWeight: ids[1] is 6, expected 0 to 4',
  },
  {
    one: { op: "gatherRows", operands: { x: of(5, 2), rows: ints([2], [5, 0]), y: of(2, 2) } },
    message: 'program "gatherRows": op 0 gatherRows: rows[0] is 5, expected 0 to 4',
  },
  {
    one: { op: "writeRows", operands: { x: of(2, 2), rows: ints([2], [-1, 7]), cache: of(5, 2) } },
    message: 'program "writeRows": op 0 writeRows: rows[1] is 7, expected 0 to 4',
  },
  {
    one: withOperands(rope, { positions: ints([2], [0, 5]) }),
    message: 'program "rope": op 0 rope: positions[1] is 5, expected 0 to 4',
  },
  {
    one: withOperands(headLoss, { labels: ints([2], [-1, 0]) }),
    message: 'program "headLoss": op 0 headLoss: labels[0] is -1, expected 0 to 4',
  },
  {
    one: withOperands(attention, { ranges: ints([4, 2], [0, 1, 0, 2, 0, 4, 0, 2]) }),
    message: 'program "attention": op 0 attention: ranges[2] is [0, 4), expected to lie in [0, 3)',
  },
];

onEveryDevice((device) => {
  describe("compile refuses", () => {
    test.each(refusals.map((refusal) => [refusal.message, refusal] as const))(
      "%s",
      async (message, { one, damage }) => {
        expect(await compileMessage(device, one, damage)).toContain(message);
      },
    );
  });

  test("compile refuses an arena that is too small or not there", async () => {
    const bench = new Bench(device, programOf(device, linear));
    const small = device.allocate("activations", 256);
    const tooSmall = await refusalOf(device.compile(bench.program, { ...bench.arenas, activations: small }));
    expect(tooSmall).toBe('program "linear": needs 768 bytes of the arena activations, got 256');
    const { activations: _, ...others } = bench.arenas;
    const absent = await refusalOf(device.compile(bench.program, others));
    expect(absent).toBe('program "linear": needs 768 bytes of the arena activations, got 0');
    small.free();
    bench.free();
  });

  describe("run refuses", () => {
    test.each(strays.map(({ message, one }) => [message, one] as const))("%s", async (message, one) => {
      expect(await refusalOf(runOne(device, one))).toBe(message);
    });
  });
});
