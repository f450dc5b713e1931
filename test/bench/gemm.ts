// Speed of the cpu device's matrix products against the most its registers can do: `npx tsx test/bench/gemm.ts [isa] [threads] [part]`.
// Both are the best of several rounds taken in turn, because other work on the machine disturbs either. `part` is "plain" or "quantized".

import { loadAddon } from "../../src/engine/addon.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import type { DType } from "../../src/engine/dtype.js";
import type { OneOp } from "../engine/contract/build.js";
import { measure, measureInTurns, registerPeak, type Seconds } from "./one-op.js";

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

function linear([t, n, k]: Size, dtype: DType, matrix = dtype): OneOp {
  const w = { dtype: matrix, shape: [n, k], arena: "weights" as const };
  const operands = { x: { dtype, shape: [t, k] }, w, y: { dtype, shape: [t, n] } };
  return { op: "linear", operands, attrs: { scale: 1 } };
}

function linearInput([t, n, k]: Size, dtype: DType, matrix = dtype): OneOp {
  const w = { dtype: matrix, shape: [n, k], arena: "weights" as const };
  const operands = { dy: { dtype, shape: [t, n] }, w, dx: { dtype, shape: [t, k] } };
  return { op: "linearInput", operands, attrs: { alpha: 1, accumulate: 0 } };
}

function linearWeight([t, n, k]: Size, dtype: DType): OneOp {
  const operands = { dy: { dtype, shape: [t, n] }, x: { dtype, shape: [t, k] }, dW: { shape: [n, k] } };
  return { op: "linearWeight", operands, attrs: { alpha: 1 } };
}

const addon = loadAddon();
const [isa = addon.isas().split(" ")[0] as string, threads = "2", part] = process.argv.slice(2);
const device = cpuDevice({ isa, threads: Number(threads) });
const peak = registerPeak(isa, Number(threads));
console.log(`${device.info.description}\npeak: f32 ${peak.f32.toFixed(0)}, bf16 ${peak.bf16.toFixed(0)} GFLOP/s`);
console.log("GFLOP/s by wall clock (share of the peak); by processor time of one thread");
/** Matrices in few bits: rows as in training, and one row, which reads the matrix once and so waits for memory. */
const quantizedSizes: readonly Size[] = [
  [256, 1024, 1024],
  [256, 2048, 2048],
  [512, 2048, 5632],
  [64, 2048, 2048],
  [1, 2048, 2048],
  [1, 11008, 4096],
  [8, 11008, 4096],
];

/** How long a product takes with a matrix in each format, against one in the activations' dtype; the formats take turns. */
async function compareFormats(size: Size, dtype: "f32" | "bf16", product: typeof linear): Promise<string> {
  const formats = [dtype, "i8", "i4", "nf4"] as const;
  const flop = 2 * size[0] * size[1] * size[2];
  const products = formats.map((format) => product(size, dtype, format));
  const seconds = await measureInTurns(device, products, Math.max(1, Math.round(5e8 / flop)), 25);
  const plain = seconds[0] as Seconds;
  const cells = formats.map((format, i) => {
    const { wall, processor } = seconds[i] as Seconds;
    const ratios = `x ${(plain.wall / wall).toFixed(2)}, ${(plain.processor / processor).toFixed(2)}`;
    return `${format} ${(flop / wall / 1e9).toFixed(0)}${format === dtype ? "" : ` (${ratios})`}`;
  });
  return `${product.name.padEnd(12)}${cells.join("  ")}`;
}

if (part !== "plain") {
  console.log(
    "GFLOP/s with a matrix in few bits (speed against the same product with a plain one, by wall clock and by processor time)",
  );
  for (const dtype of ["bf16", "f32"] as const) {
    for (const size of quantizedSizes) {
      for (const product of size[0] > 8 ? [linear, linearInput] : [linear]) {
        console.log(`${dtype.padEnd(5)}${size.join(" x ").padEnd(18)}${await compareFormats(size, dtype, product)}`);
      }
    }
  }
}
for (const dtype of part === "quantized" ? [] : (["f32", "bf16"] as const)) {
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
