// One training step of a Llama with LoRA on a GPU: tokens per second, and the memory it took beside what was planned. Next to read: main.ts.

import { attachLora } from "../../../src/adapter/index.js";
import type { CudaDevice } from "../../../src/engine/cuda.js";
import { type Program, totalBytes } from "../../../src/engine/index.js";
import { flopsOf } from "../../../src/meter/index.js";
import type { Model } from "../../../src/model/model.js";
import { batches } from "../../../src/tokens/index.js";
import { resolveOptions } from "../../../src/train/index.js";
import { planRun } from "../../../src/train/plan.js";
import { Stepper } from "../../../src/train/step.js";

export interface StepRate {
  readonly seq: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  /** Of the matrix products and attention of one step. */
  readonly tflops: number;
  readonly loss: number;
  readonly plannedBytes: number;
  readonly allocatedBytes: number;
  /** Bytes that the driver counts as taken on the card, by anybody. */
  readonly takenBytes: number;
}

/** The median of as many updates as fit into `limitSeconds`, after two that do not count. */
export async function stepRate(device: CudaDevice, base: Model, seq: number, limitSeconds: number): Promise<StepRate> {
  const model = await attachLora(base, { rank: 16, alpha: 32 });
  const bucket = { batch: 1, seq };
  const plan = await planRun(model, resolveOptions({ data: [] }), { train: [bucket], validation: [], first: bucket });
  const stepper = Stepper.open(model, plan);
  const ids = Array.from({ length: seq }, (_, i) => (i * 7919) % base.config.vocab);
  const filled = [...batches([{ ids, trained: new Array<boolean>(seq).fill(true), row: 0 }], { batchSize: 1, pad: 0 })];
  const [accumulate] = [...plan.accumulate.values()].map(({ program }) => program) as [Program];
  const flops = flopsOf(accumulate, { seenPart: (seq + 1) / (2 * seq), labelledPart: (seq - 1) / seq }).total;
  const times: number[] = [];
  let loss = Number.NaN;
  const until = performance.now() + limitSeconds * 1000;
  for (let step = 1; step <= 3 || (performance.now() < until && step < 50); step++) {
    const began = performance.now();
    ({ loss } = await stepper.update(filled, { learningRate: 1e-4, step, clipNorm: 1, seed: 42 }));
    if (step > 2) times.push((performance.now() - began) / 1000);
  }
  const { freeBytes, totalBytes: all } = device.state();
  const allocatedBytes = totalBytes(device.allocated());
  await stepper.dispose();
  model.dispose();
  const seconds = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number;
  return {
    seq,
    seconds,
    tokensPerSecond: seq / seconds,
    tflops: flops / seconds / 1e12,
    loss,
    plannedBytes: totalBytes(plan.bytes),
    allocatedBytes,
    takenBytes: all - freeBytes,
  };
}
