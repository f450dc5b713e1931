// Speed of the cpu device's attention against the most its registers can do: `npx tsx test/bench/attention.ts [isa] [threads]`.
// Counted are the products of the keys that are seen: two in the forward, five in the backward, which makes the scores again.

import { loadAddon } from "../../src/engine/addon.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import type { DType } from "../../src/engine/dtype.js";
import type { OneOp } from "../engine/contract/build.js";
import { ranges } from "../engine/contract/make.js";
import { measure, registerPeak } from "./one-op.js";

interface Size {
  readonly batch: number;
  readonly seqQ: number;
  readonly seqK: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Training on causal rows, and one query on a cache. */
const sizes: readonly Size[] = [
  { batch: 4, seqQ: 256, seqK: 256, heads: 12, kvHeads: 12, headDim: 64 },
  { batch: 1, seqQ: 2048, seqK: 2048, heads: 16, kvHeads: 16, headDim: 128 },
  { batch: 1, seqQ: 1024, seqK: 1024, heads: 16, kvHeads: 4, headDim: 64 },
  { batch: 8, seqQ: 64, seqK: 64, heads: 8, kvHeads: 4, headDim: 32 },
  { batch: 1, seqQ: 1, seqK: 512, heads: 12, kvHeads: 12, headDim: 64 },
  { batch: 1, seqQ: 1, seqK: 512, heads: 16, kvHeads: 4, headDim: 64 },
];

function forward({ batch, seqQ, seqK, heads, kvHeads, headDim }: Size, dtype: DType): OneOp {
  const [q, k] = [
    { dtype, shape: [batch * seqQ, heads * headDim] },
    { dtype, shape: [batch * seqK, kvHeads * headDim] },
  ];
  const seen = ranges(batch, seqQ, (_, t) => [0, seqK - seqQ + t + 1]);
  const operands = { q, k, v: k, ranges: seen, o: q, lse: { shape: [batch * seqQ, heads] } };
  return { op: "attention", operands, attrs: { batch, heads, kvHeads, scale: 1 / Math.sqrt(headDim) } };
}

function backward(size: Size, dtype: DType): OneOp {
  const { operands, attrs } = forward(size, dtype) as Required<OneOp>;
  const { q, k } = operands as Required<typeof operands>;
  return { op: "attentionBackward", operands: { do: q, ...operands, dq: q, dk: k, dv: k } as OneOp["operands"], attrs };
}

const addon = loadAddon();
const [isa = addon.isas().split(" ")[0] as string, threads = "2"] = process.argv.slice(2);
const device = cpuDevice({ isa, threads: Number(threads) });
const peak = registerPeak(isa, Number(threads));
console.log(`${device.info.description}\npeak: f32 ${peak.f32.toFixed(0)}, bf16 ${peak.bf16.toFixed(0)} GFLOP/s`);
console.log("GFLOP/s by wall clock (share of the peak), microseconds");
for (const dtype of ["f32", "bf16"] as const) {
  for (const size of sizes) {
    const { batch, seqQ, seqK, heads, kvHeads, headDim } = size;
    const seen = batch * heads * seqQ * (seqK - (seqQ - 1) / 2);
    const cells: string[] = [];
    for (const [one, products] of [
      [forward(size, dtype), 2],
      [backward(size, dtype), 5],
    ] as const) {
      if (seqQ === 1 && products === 5) continue;
      const flop = 2 * products * seen * headDim;
      const { wall } = await measure(device, one, Math.max(1, Math.round(1e8 / flop)), seqQ > 1000 ? 8 : 60);
      const rate = flop / wall / 1e9;
      cells.push(
        `${one.op} ${rate.toFixed(0)} (${((100 * rate) / peak[dtype]).toFixed(0)} %) ${(1e6 * wall).toFixed(0)} us`,
      );
    }
    const title = `${batch} x ${seqQ === seqK ? seqQ : `${seqQ} on ${seqK}`} x ${heads}${heads === kvHeads ? "" : ` on ${kvHeads}`} x ${headDim}`;
    console.log(`${dtype.padEnd(5)}${title.padEnd(30)}${cells.join("   ")}`);
  }
}
await device.dispose();
