// The messages of the validator that no Program of the contract suite provokes: those of hand-made or damaged Programs.

import { expect, test } from "vitest";
import type { Program } from "../../src/engine/program.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { validateProgram } from "../../src/engine/validate.js";
import { Bench, type OneOp, programOf } from "./contract/build.js";

const device = referenceDevice();
const add: OneOp = { op: "add", operands: { a: { shape: [4] }, b: { shape: [4] }, y: { shape: [4] } } };

function complaint(
  change: (program: Program) => Program,
  one: OneOp = add,
  dtypes = device.info.computeDTypes,
): string {
  const bench = new Bench(device, programOf(device, one));
  try {
    validateProgram(change(bench.program), bench.arenas, dtypes);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
}

const firstBuffer = (change: object) => (program: Program) =>
  ({
    ...program,
    buffers: program.buffers.map((buffer, i) => (i === 0 ? { ...buffer, ...change } : buffer)),
  }) as Program;
const firstOp = (change: object) => (program: Program) =>
  ({ ...program, ops: program.ops.map((op) => ({ ...op, ...change })) }) as Program;

test("a whole Program is accepted", () => {
  expect(complaint((program) => program)).toBe("accepted");
});

test.each([
  [
    (program: Program) => ({ ...program, arenaBytes: { ...program.arenaBytes, io: -1 } }),
    'program "add": arenaBytes.io is -1, expected a whole number',
  ],
  [firstBuffer({ dtype: "f64" }), 'program "add": buffer 0 "a": dtype is f64, expected one of f32 bf16 f16 i32'],
  [
    firstBuffer({ arena: "attic" }),
    'program "add": buffer 0 "a": arena is attic, expected one of weights trained gradients optimizer activations workspace cache io',
  ],
  [firstOp({ op: "divide" }), 'program "add": op 0 is "divide", expected one of embedding embeddingWeight'],
  [firstOp({ op: "toString" }), 'program "add": op 0 is "toString", expected one of'],
  [firstOp({ inputs: [0] }), 'program "add": op 0 add: has 1 inputs, expected 2: a b'],
  [firstOp({ outputs: [2, 2] }), 'program "add": op 0 add: has 2 outputs, expected 1: y'],
  [firstOp({ inputs: [0, 0.5] }), 'program "add": op 0 add: input b is buffer 0.5, expected 0 to 2'],
  [
    firstOp({ workspace: { offset: 0, bytes: -8 } }),
    'program "add": op 0 add: workspace has -8 bytes, expected a whole number',
  ],
  [
    firstOp({ workspace: { offset: 8, bytes: 8 } }),
    'program "add": op 0 add: workspace: offset is 8, expected a multiple of 256',
  ],
  [firstBuffer({ dtype: "i32" }), 'program "add": op 0 add: input a has dtype i32, expected f32 or bf16 or f16'],
  [firstBuffer({ dtype: "bf16" }), 'program "add": op 0 add: input b has dtype f32, expected bf16'],
])("%#: a damaged Program is refused with its place", (change, message) => {
  expect(complaint(change as (program: Program) => Program)).toContain(message);
});

test("a device that computes in f32 alone refuses activations in bf16", () => {
  const bf16 = { dtype: "bf16", shape: [4] } as const;
  const one: OneOp = { op: "add", operands: { a: bf16, b: bf16, y: bf16 } };
  expect(complaint((program) => program, one, ["f32"])).toBe(
    'program "add": op 0 add: input a has dtype bf16, expected f32',
  );
});

test("linear may write f32 results of bf16 activations, but no third dtype", () => {
  const bf16 = { dtype: "bf16", shape: [2, 2] } as const;
  const linear = (dtype: "f32" | "f16"): OneOp => ({
    op: "linear",
    operands: { x: bf16, w: bf16, y: { dtype, shape: [2, 2] } },
    attrs: { scale: 1 },
  });
  expect(complaint((program) => program, linear("f32"))).toBe("accepted");
  expect(complaint((program) => program, linear("f16"))).toBe(
    'program "linear": op 0 linear: output y has dtype f16, expected bf16 or f32',
  );
});
