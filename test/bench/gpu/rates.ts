// Single ops on a GPU: how fast the matrix products, attention and a row op are. Next to read: main.ts.

import type { CudaDevice } from "../../../src/engine/cuda.js";
import { sizeOf } from "../../../src/engine/dtype.js";
import { neutralUniforms } from "../../../src/engine/ops.js";
import { bufferBytes } from "../../../src/engine/program.js";
import { normalAt } from "../../../src/engine/random.js";
import { Bench, type OneOp, programOf } from "../../engine/contract/build.js";

export interface Rate {
  readonly title: string;
  readonly seconds: number;
  readonly tflops: number;
  /** GB/s of operands read and results written once. */
  readonly gigabytes: number;
}

const bf16 = (...shape: number[]) => ({ dtype: "bf16" as const, shape });
const f32 = (...shape: number[]) => ({ shape });

interface Work {
  readonly title: string;
  readonly one: OneOp;
  readonly flops: number;
}

/** The products of one layer of an 8B Llama with LoRA, and attention, over `t` tokens; `scale` makes all smaller, for trying it out. */
export function works(t: number, scale = 1): readonly Work[] {
  const [h, i, kv, r, heads, kvHeads] = [4096 / scale, 14336 / scale, 1024 / scale, 16, 32 / scale, 8 / scale];
  const causal = Int32Array.from({ length: 2 * t }, (_, e) => (e % 2 ? (e + 1) / 2 : 0));
  const ranges = { dtype: "i32" as const, shape: [t, 2], data: causal };
  const attrs = { batch: 1, heads, kvHeads, scale: 128 ** -0.5 };
  const seen = (t * (t + 1)) / 2;
  const product = (title: string, m: number, n: number, k: number, one: OneOp): Work => ({
    title,
    one,
    flops: 2 * m * n * k,
  });
  return [
    product("linear h to h", t, h, h, {
      op: "linear",
      operands: { x: bf16(t, h), w: bf16(h, h), y: bf16(t, h) },
      attrs: { scale: 1 },
    }),
    product("linear h to i with LoRA", t, i, h + r, {
      op: "linear",
      operands: { x: bf16(t, h), w: bf16(i, h), h: bf16(t, r), b: f32(i, r), y: bf16(t, i) },
      attrs: { scale: 2 },
    }),
    product("linearInput i to h with LoRA", t, h, i + r, {
      op: "linearInput",
      operands: { dy: bf16(t, i), w: bf16(i, h), g: bf16(t, r), a: f32(r, h), dx: bf16(t, h) },
      attrs: { alpha: 1, accumulate: 0 },
    }),
    product("LoRA down h to r", t, r, h, {
      op: "linear",
      operands: { x: bf16(t, h), w: f32(r, h), y: bf16(t, r) },
      attrs: { scale: 1 },
    }),
    product("LoRA gradient [r, h]", r, h, t, {
      op: "linearWeight",
      operands: { dy: bf16(t, r), x: bf16(t, h), dW: f32(r, h) },
      attrs: { alpha: 1 },
    }),
    {
      title: "attention",
      flops: 4 * seen * h,
      one: {
        op: "attention",
        operands: { q: bf16(t, h), k: bf16(t, kv), v: bf16(t, kv), ranges, o: bf16(t, h), lse: f32(t, heads) },
        attrs,
      },
    },
    {
      title: "attentionBackward",
      flops: 10 * seen * h,
      one: {
        op: "attentionBackward",
        operands: {
          ...{
            do: bf16(t, h),
            q: bf16(t, h),
            k: bf16(t, kv),
            v: bf16(t, kv),
            o: bf16(t, h),
            lse: f32(t, heads),
            ranges,
          },
          ...{ dq: bf16(t, h), dk: bf16(t, kv), dv: bf16(t, kv) },
        },
        attrs,
      },
    },
    {
      title: "rmsNorm",
      flops: 0,
      one: {
        op: "rmsNorm",
        operands: { x: bf16(t, h), weight: bf16(h), y: bf16(t, h), rstd: f32(t) },
        attrs: { eps: 1e-5 },
      },
    },
    { title: "swiglu", flops: 0, one: { op: "swiglu", operands: { gate: bf16(t, i), up: bf16(t, i), y: bf16(t, i) } } },
  ];
}

/** Bytes of bf16 numbers of a normal distribution; two of them are an f32 of no meaning but of an ordinary size. */
function randomBytes(bytes: number): Uint8Array {
  const pool = Float32Array.from({ length: 1 << 16 }, (_, i) => normalAt(5, i));
  const halves = Uint16Array.from(new Uint32Array(pool.buffer), (bits) => bits >>> 16);
  const source = new Uint8Array(halves.buffer);
  const out = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += source.length)
    out.set(source.subarray(0, Math.min(source.length, bytes - at)), at);
  return out;
}

/** The best of `rounds` runs of `times` launches of one op. */
export async function rateOf(
  device: CudaDevice,
  { title, one, flops }: Work,
  times: number,
  rounds: number,
): Promise<Rate> {
  const single = programOf(device, one);
  const bench = new Bench(device, { ...single, ops: Array.from({ length: times }, () => single.ops).flat() });
  let moved = 0;
  for (const buffer of single.buffers) {
    const given = one.operands[buffer.name]?.data;
    moved += bufferBytes(buffer);
    if (given) await bench.write(buffer.name, given);
    else
      await bench.arenas[buffer.arena]?.write(
        buffer.offset,
        randomBytes(sizeOf(buffer.shape) * (buffer.dtype === "bf16" ? 2 : 4)),
      );
  }
  const executable = await device.compile(bench.program, bench.arenas);
  let seconds = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= rounds; round++) {
    const began = performance.now();
    await executable.run(neutralUniforms);
    if (round > 0) seconds = Math.min(seconds, (performance.now() - began) / 1e3 / times);
  }
  executable.dispose();
  bench.free();
  return { title, seconds, tflops: flops / seconds / 1e12, gigabytes: moved / seconds / 1e9 };
}
