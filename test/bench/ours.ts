// Our side of the bench: one job in one process, driven over stdin and stdout (child.ts says how). Its twin: peer.py.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { attachLora } from "../../src/adapter/index.js";
import { loadAddon } from "../../src/engine/addon.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import type { Category, Device, Program } from "../../src/engine/index.js";
import { openGenerator } from "../../src/generate/index.js";
import { flopsOf, productBytes } from "../../src/meter/index.js";
import { batches } from "../../src/tokens/index.js";
import { resolveOptions } from "../../src/train/index.js";
import { planRun } from "../../src/train/plan.js";
import { Stepper } from "../../src/train/step.js";
import type { Report } from "./child.js";
import { randomModel, stream } from "./random-model.js";
import { configOf, type Job } from "./shapes.js";

/** What our side can say beyond the peer's: it knows its Programs. */
export interface OurReport extends Report {
  readonly planned: Readonly<Record<Category, number>>;
  readonly allocated: Readonly<Record<Category, number>>;
  /** Operations of the matrix products of one step: an update, or one token. */
  readonly flops: number;
  /** Bytes that one token must read: matrices and, at the mean length, keys and values. 0 when training. */
  readonly bytesRead: number;
  /** FLOP/s of multiply-adds in registers in the job's dtype, the best seen while this process lived. */
  readonly peakFlops: number;
}

interface Work {
  /** One step; seconds where not all of it counts. */
  step(): Promise<{ readonly seconds?: number; readonly [name: string]: unknown }>;
  readonly planned: Readonly<Record<Category, number>>;
  readonly flops: number;
  readonly bytesRead: number;
}

const CONTEXT = 512;

async function trainer(job: Job, device: Device): Promise<Work> {
  const { batch, seq, shape } = job.model;
  const base = await randomModel(device, configOf(shape, CONTEXT), job.dtype);
  const model = await attachLora(base, { rank: job.rank, alpha: job.alpha });
  const bucket = { batch, seq };
  const plan = await planRun(model, resolveOptions({ data: [] }), { train: [bucket], validation: [], first: bucket });
  const stepper = Stepper.open(model, plan);
  const random = stream(7);
  const rows = Array.from({ length: batch }, (_, row) => ({
    ids: Array.from({ length: seq }, () => Math.floor(random() * shape.vocab_size)),
    trained: new Array<boolean>(seq).fill(true),
    row,
  }));
  const filled = [...batches(rows, { batchSize: batch, pad: 0 })];
  const [accumulate] = [...plan.accumulate.values()].map(({ program }) => program) as [Program];
  let update = 0;
  return {
    async step() {
      update += 1;
      const { loss } = await stepper.update(filled, { learningRate: 1e-4, step: update, clipNorm: 1, seed: 42 });
      return { loss, trained: model.trained?.parameterCount };
    },
    planned: plan.bytes,
    // Every row sees what came before it, and its last token has nothing to predict.
    flops: flopsOf(accumulate, { seenPart: (seq + 1) / (2 * seq), labelledPart: (seq - 1) / seq }).total,
    bytesRead: 0,
  };
}

async function decoder(job: Job, device: Device): Promise<Work> {
  const { shape } = job.model;
  const model = await randomModel(device, configOf(shape, CONTEXT), job.dtype);
  const length = job.prompt + job.newTokens;
  const generator = await openGenerator(model, { tokens: length });
  const random = stream(7);
  const prompt = Array.from({ length: job.prompt }, () => Math.floor(random() * shape.vocab_size));
  const { program } = generator.plan.programs.get(1) as { readonly program: Program };
  const { bytes, capacity } = generator.plan;
  const meanLength = job.prompt + job.newTokens / 2;
  return {
    async step() {
      const tokens = generator.generate(prompt, { maxNewTokens: job.newTokens });
      await tokens.next();
      const began = performance.now();
      let made = 0;
      let last = -1;
      for await (const { id } of tokens) {
        made += 1;
        last = id;
      }
      const seconds = (performance.now() - began) / 1000;
      if (made !== job.newTokens - 1) throw new Error(`bench: made ${made} tokens, not ${job.newTokens - 1}`);
      return { seconds, last };
    },
    planned: { ...bytes, weights: model.weights.bytes },
    flops: flopsOf(program, { seenPart: meanLength / capacity }).total,
    bytesRead: productBytes(program) + bytes.cache * (meanLength / capacity),
  };
}

/** Bytes from the system's own count: VmRSS now, VmHWM the most ever. Where there is none, the most ever for both. */
function memory(field: "VmRSS" | "VmHWM"): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  const found = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync("/proc/self/status", "utf8"));
  return Number(found?.[1]) * 1024;
}

/** The best of many short bursts: anything slower had company. */
function peakFlops(threads: number, pairs: boolean): number {
  const addon = loadAddon();
  const handle = addon.create(threads, process.env["TUNEBOOK_ISA"]);
  const best = Math.max(...Array.from({ length: 50 }, () => addon.peak(handle, pairs)));
  addon.dispose(handle);
  return best;
}

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

const job = JSON.parse(process.argv[2] as string) as Job;
const start = memory("VmRSS");
const device = cpuDevice({ threads: job.threads });
const peakBefore = peakFlops(job.threads, job.dtype === "bf16");
const work = await (job.work === "train" ? trainer(job, device) : decoder(job, device));
say({ versions: { node: process.versions.node, device: device.info.description }, threads: job.threads });

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line) as { readonly do: "step" | "report"; readonly times: number };
  if (asked.do === "report") {
    const peakBytes = memory("VmHWM");
    const report: OurReport = {
      startBytes: start,
      peakBytes,
      planned: work.planned,
      allocated: device.allocated(),
      flops: work.flops,
      bytesRead: work.bytesRead,
      peakFlops: Math.max(peakBefore, peakFlops(job.threads, job.dtype === "bf16")),
    };
    say(report);
    continue;
  }
  let seconds = 0;
  let answer: Awaited<ReturnType<Work["step"]>> = {};
  for (let i = 0; i < asked.times; i++) {
    const began = performance.now();
    answer = await work.step();
    seconds += answer.seconds ?? (performance.now() - began) / 1000;
  }
  say({ ...answer, seconds: seconds / asked.times });
}
await device.dispose();
