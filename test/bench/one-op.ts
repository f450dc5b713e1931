// One op over and over on the cpu device, and what its registers can do at most. Next to read: gemm.ts, attention.ts, rows.ts.
// Everything is the best of several rounds, because other work on the machine disturbs.

import { loadAddon } from "../../src/engine/addon.js";
import type { Device } from "../../src/engine/device.js";
import { sizeOf } from "../../src/engine/dtype.js";
import { neutralUniforms } from "../../src/engine/ops.js";
import { bufferBytes } from "../../src/engine/program.js";
import { isQuantized } from "../../src/engine/quantized.js";
import { Bench, type OneOp, programOf } from "../engine/contract/build.js";

/** GFLOP/s of multiply-adds in registers, on all threads. */
export function registerPeak(isa: string, threads: number): Record<"f32" | "bf16", number> {
  const addon = loadAddon();
  const meter = addon.create(threads, isa);
  const peak = { f32: 0, bf16: 0 };
  for (let round = 0; round < 5; round++) {
    peak.f32 = Math.max(peak.f32, addon.peak(meter, false) / 1e9);
    peak.bf16 = Math.max(peak.bf16, addon.peak(meter, true) / 1e9);
  }
  addon.dispose(meter);
  return peak;
}

/** Between -0.5 and 0.5, without a pattern that matters for speed. */
function someNumbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 1000) / 1000 - 0.5);
}

export interface Seconds {
  wall: number;
  processor: number;
}

/** Seconds of wall clock and of processor for one op, each the best of `rounds`; a round runs it `times` times. */
export async function measure(device: Device, one: OneOp, times: number, rounds: number): Promise<Seconds> {
  return (await measureInTurns(device, [one], times, rounds))[0] as Seconds;
}

/** As measure, for ops that are compared: in every round each has its turn. */
export async function measureInTurns(
  device: Device,
  ones: readonly OneOp[],
  times: number,
  rounds: number,
): Promise<readonly Seconds[]> {
  const ready = [];
  for (const one of ones) {
    const single = programOf(device, one);
    const program = { ...single, ops: Array.from({ length: times }, () => single.ops).flat() };
    const bench = new Bench(device, program);
    for (const buffer of program.buffers) {
      // Any bytes are a matrix in few bits, and all take the same time.
      if (isQuantized(buffer.dtype)) {
        await bench.arenas[buffer.arena]?.write(buffer.offset, new Uint8Array(bufferBytes(buffer)).fill(0x3c));
      } else await bench.write(buffer.name, one.operands[buffer.name]?.data ?? someNumbers(sizeOf(buffer.shape)));
    }
    const executable = await device.compile(program, bench.arenas);
    ready.push({ one, bench, executable, best: { wall: Infinity, processor: Infinity } });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { one, executable, best } of ready) {
      const [start, used] = [performance.now(), process.cpuUsage()];
      await executable.run({ ...neutralUniforms, ...one.uniforms });
      const { user, system } = process.cpuUsage(used);
      best.wall = Math.min(best.wall, (performance.now() - start) / 1e3 / times);
      best.processor = Math.min(best.processor, (user + system) / 1e6 / times);
    }
  }
  for (const { bench } of ready) bench.free();
  return ready.map(({ best }) => best);
}
