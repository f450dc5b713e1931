// Speed of the cpu device's matrix products against the most its registers can do: `npx tsx test/bench/gemm.ts [isa] [threads]`.
// Both are the best of several rounds taken in turn, because other work on the machine disturbs either.

import { loadAddon } from "../../src/engine/addon.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import type { DType } from "../../src/engine/dtype.js";
import type { OneOp } from "../engine/contract/build.js";
import { measure, registerPeak } from "./one-op.js";

/** Rows, outputs, inputs. */
type Size = readonly [number, number, number];

const sizes: readonly Size[] = [
  [256, 1024, 1024],
  [512, 2048, 2048],
  [512, 2048, 5632],
  [256, 192, 192],
  [256, 256, 256],
  [256, 768, 192],
  [256, 192, 768],
  [256, 8, 1024],
  [1, 2048, 2048],
];

function linear([t, n, k]: Size, dtype: DType): OneOp {
  const operands = { x: { dtype, shape: [t, k] }, w: { dtype, shape: [n, k] }, y: { dtype, shape: [t, n] } };
  return { op: "linear", operands, attrs: { scale: 1 } };
}

function linearInput([t, n, k]: Size, dtype: DType): OneOp {
  const operands = { dy: { dtype, shape: [t, n] }, w: { dtype, shape: [n, k] }, dx: { dtype, shape: [t, k] } };
  return { op: "linearInput", operands, attrs: { alpha: 1, accumulate: 0 } };
}

function linearWeight([t, n, k]: Size, dtype: DType): OneOp {
  const operands = { dy: { dtype, shape: [t, n] }, x: { dtype, shape: [t, k] }, dW: { shape: [n, k] } };
  return { op: "linearWeight", operands, attrs: { alpha: 1 } };
}

const addon = loadAddon();
const [isa = addon.isas().split(" ")[0] as string, threads = "2"] = process.argv.slice(2);
const device = cpuDevice({ isa, threads: Number(threads) });
const peak = registerPeak(isa, Number(threads));
console.log(`${device.info.description}\npeak: f32 ${peak.f32.toFixed(0)}, bf16 ${peak.bf16.toFixed(0)} GFLOP/s`);
console.log("GFLOP/s by wall clock (share of the peak); by processor time of one thread");
for (const dtype of ["f32", "bf16"] as const) {
  for (const size of sizes) {
    const flop = 2 * size[0] * size[1] * size[2];
    const cells: string[] = [];
    for (const one of [linear(size, dtype), linearInput(size, dtype), linearWeight(size, dtype)]) {
      const { wall, processor } = await measure(device, one, Math.max(1, Math.round(1e9 / flop)), 15);
      const rate = flop / wall / 1e9;
      cells.push(
        `${one.op} ${rate.toFixed(0)} (${((100 * rate) / peak[dtype]).toFixed(0)} %) ${(flop / processor / 1e9).toFixed(0)}`,
      );
    }
    console.log(`${dtype.padEnd(5)}${size.join(" x ").padEnd(18)}${cells.join("   ")}`);
  }
}
await device.dispose();
