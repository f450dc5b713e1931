// A Program's bytes, field by field as native code reads them, and the sizes the memory plan counts with.

import { expect, test } from "vitest";
import { sizeOf } from "../../src/engine/dtype.js";
import { plainName } from "../../src/engine/operands.js";
import { type OpSpec, ops } from "../../src/engine/ops.js";
import { align, bufferBytes, type Category, categories, type Program, serialize } from "../../src/engine/program.js";
import { signatures } from "../../src/engine/signatures.js";

test("sizes: buffers are packed, places are multiples of 256", () => {
  expect(sizeOf([])).toBe(1);
  expect(sizeOf([3, 5])).toBe(15);
  expect(bufferBytes({ dtype: "bf16", shape: [3, 5] })).toBe(30);
  expect(bufferBytes({ dtype: "i32", shape: [7] })).toBe(28);
  expect([0, 1, 256, 257].map(align)).toEqual([0, 256, 256, 512]);
});

test("a serialized Program is header, arenas, buffers and ops, little endian", () => {
  const arenaBytes = Object.fromEntries(categories.map((category, i) => [category, i * 256])) as Record<
    Category,
    number
  >;
  const program: Program = {
    name: "left out",
    arenaBytes,
    buffers: [
      { name: "x", arena: "activations", offset: 256, dtype: "bf16", shape: [3, 5] },
      { name: "total", arena: "io", offset: 2 ** 33, dtype: "f32", shape: [1] },
    ],
    ops: [{ op: "dropout", inputs: [0], outputs: [-1], attrs: [0.5, 7], workspace: { offset: 512, bytes: 64 } }],
  };
  const bytes = serialize(program);
  const view = new DataView(bytes.buffer);
  expect(new TextDecoder().decode(bytes.subarray(0, 4))).toBe("TBP\u0001");
  let at = 0;
  const words = (count: number) => Array.from({ length: count }, () => view.getUint32((at += 4) - 4, true));
  const doubles = (count: number) => Array.from({ length: count }, () => view.getFloat64((at += 8) - 8, true));
  expect(words(4).slice(1)).toEqual([8, 2, 1]);
  expect(doubles(8)).toEqual([0, 256, 512, 768, 1024, 1280, 1536, 1792]);
  expect([words(2), doubles(1), words(2), doubles(2)]).toEqual([[4, 1], [256], [2, 0], [3, 5]]);
  expect([words(2), doubles(1), words(2), doubles(1)]).toEqual([[7, 0], [2 ** 33], [1, 0], [1]]);
  expect([words(4), doubles(2)]).toEqual([
    [23, 1, 1, 2],
    [512, 64],
  ]);
  expect(doubles(4)).toEqual([0, -1, 0.5, 7]);
  expect(at).toBe(bytes.length);
});

test("no two ops share a code, and in-place pairs name operands that exist", () => {
  const codes = Object.values(ops).map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
  for (const spec of Object.values(ops) as OpSpec[]) {
    for (const [output, input] of spec.inPlace ?? []) {
      expect(spec.outputs.map(plainName)).toContain(output);
      expect(spec.inputs.map(plainName)).toContain(input);
    }
  }
});

test("every operand of every op has a signature, and nothing else has", () => {
  for (const [name, spec] of Object.entries(ops)) {
    const operands = [...spec.inputs, ...spec.outputs].map(plainName);
    expect(Object.keys(signatures[name as keyof typeof ops]).sort(), name).toEqual(operands.sort());
  }
});
