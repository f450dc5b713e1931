// Speed of the cpu device's ops on rows and elements against a plain copy of f32 numbers: `npx tsx test/bench/rows.ts [isa] [threads]`.
// Counted are the bytes each op must read and write. Two sizes: one for the caches, one for memory; the copy is measured at both.

import { loadAddon } from "../../src/engine/addon.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import { bytesOf, type DType } from "../../src/engine/dtype.js";
import { plainName } from "../../src/engine/operands.js";
import { type OpSpec, ops } from "../../src/engine/ops.js";
import type { OneOp, Operand } from "../engine/contract/build.js";
import { ints } from "../engine/contract/make.js";
import { measure } from "./one-op.js";

/** Tokens and the width of a row. */
const sizes = [
  [512, 256],
  [4096, 2048],
] as const;

function opsOf(tokens: number, width: number, dtype: DType): readonly OneOp[] {
  const x: Operand = { dtype, shape: [tokens, width] };
  const weight: Operand = { dtype, shape: [width] };
  const rstd: Operand = { shape: [tokens] };
  const ids = ints(
    [tokens],
    Array.from({ length: tokens }, (_, i) => (i * 7) % tokens),
  );
  const turn: Operand = { shape: [tokens, 32] };
  const state: Operand = { shape: [tokens, width] };
  const one: Operand = { shape: [1], data: [1] };
  const decay = { beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0, rateFactor: 1 };
  return [
    { op: "rmsNorm", operands: { x, weight, y: x, rstd }, attrs: { eps: 1e-5 } },
    { op: "rmsNormInput", operands: { dy: x, x, weight, rstd, dx: x }, attrs: { accumulate: 0 } },
    {
      op: "rope",
      operands: { x, cos: turn, sin: turn, positions: ids, y: x },
      attrs: { heads: width / 64, interleaved: 0, inverse: 0 },
    },
    { op: "swiglu", operands: { gate: x, up: x, y: x } },
    { op: "swigluBackward", operands: { dy: x, gate: x, up: x, dGate: x, dUp: x } },
    { op: "add", operands: { a: x, b: x, y: x } },
    { op: "cast", operands: { x, y: { ...x, dtype: dtype === "f32" ? "bf16" : "f32" } } },
    { op: "dropout", operands: { x, y: x }, attrs: { p: 0.1, stream: 1 } },
    { op: "embedding", operands: { weight: x, ids, y: x } },
    { op: "zero", operands: { x } },
    { op: "sumSquares", operands: { x: state, total: one } },
    { op: "adamw", operands: { grad: state, total: one, param: state, m: state, v: state }, attrs: decay },
  ];
}

/** Bytes that the op cannot do without: every operand once, and what is changed in place twice. */
function bytesMoved({ op, operands }: OneOp): number {
  const spec: OpSpec = ops[op];
  const bytes = (written: string) => {
    const operand = operands[plainName(written)];
    return operand ? bytesOf(operand.dtype ?? "f32", operand.shape) : 0;
  };
  const all = [...spec.inputs, ...spec.outputs, ...(op === "adamw" ? spec.outputs : [])];
  return all.reduce((sum, name) => sum + bytes(name), 0);
}

const addon = loadAddon();
const [isa = addon.isas().split(" ")[0] as string, threads = "2"] = process.argv.slice(2);
const device = cpuDevice({ isa, threads: Number(threads) });
console.log(`${device.info.description}\nGB/s by wall clock (times the copy), microseconds`);
for (const [tokens, width] of sizes) {
  const times = Math.max(1, Math.round(4e6 / (tokens * width)));
  const from: Operand = { shape: [tokens, width] };
  const rate = async (one: OneOp) => {
    const { wall } = await measure(device, one, times, 60);
    return { gb: bytesMoved(one) / wall / 1e9, wall };
  };
  const copy = await rate({ op: "cast", operands: { x: from, y: from } });
  console.log(`[${tokens}, ${width}]: copy ${copy.gb.toFixed(1)} GB/s`);
  for (const dtype of ["f32", "bf16"] as const) {
    for (const one of opsOf(tokens, width, dtype)) {
      const { gb, wall } = await rate(one);
      console.log(
        `${dtype.padEnd(5)}${one.op.padEnd(16)}${gb.toFixed(1).padStart(6)} (${(gb / copy.gb).toFixed(2)})${(1e6 * wall).toFixed(0).padStart(8)} us`,
      );
    }
  }
}
await device.dispose();
