// Where the time of one LoRA step goes: `npx tsx test/bench/profile.ts [model] [dtype] [threads] [kind]`, models as in shapes.ts; kind, such as
// headLoss, leaves the others out.
//
// The ops of a step that are of one kind and one shape run by themselves, one after another on the step's own memory, as often as the
// step runs them. What a kind costs there is what it costs in the step, but for caches that another kind would have filled or emptied:
// the sum beside the whole step says how much that is. Every time is the best of several rounds taken in turn. On a machine that has
// other work, the processor time of one thread says more than the clock.

import { attachLora } from "../../src/adapter/index.js";
import { loadAddon } from "../../src/engine/addon.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import { type Executable, neutralUniforms, type Op, type Program } from "../../src/engine/index.js";
import { flopsOf } from "../../src/meter/index.js";
import { batches } from "../../src/tokens/index.js";
import { resolveOptions } from "../../src/train/index.js";
import { planRun } from "../../src/train/plan.js";
import { Stepper } from "../../src/train/step.js";
import { randomModel, stream } from "./random-model.js";
import { configOf, models } from "./shapes.js";

const ROUNDS = 7;

/** Ops of one kind and shape: "linear [512, 256] [640, 256] ...". */
function kindOf({ buffers }: Program, { op, inputs, outputs }: Op): string {
  const shapeAt = (index: number) => `[${buffers[index]?.shape.join(" ") ?? ""}]`;
  return `${op} ${inputs.map(shapeAt).join(" ")} -> ${outputs.map(shapeAt).join(" ")}`;
}

interface Kind {
  readonly name: string;
  readonly count: number;
  readonly flops: number;
  readonly executable: Executable;
  readonly best: Times;
}

/** Seconds by the clock and of all processors, each the best so far. */
interface Times {
  wall: number;
  processor: number;
}

const never = (): Times => ({ wall: Infinity, processor: Infinity });

async function measure(best: Times, work: () => Promise<unknown>): Promise<void> {
  const [began, used] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(used);
  best.wall = Math.min(best.wall, (performance.now() - began) / 1e3);
  best.processor = Math.min(best.processor, (user + system) / 1e6);
}

const [name = "tiny-tutor", dtype = "bf16", threads = "2", only = ""] = process.argv.slice(2);
const named = models.find((model) => model.name === name);
if (!named || (dtype !== "f32" && dtype !== "bf16")) {
  throw new RangeError(
    `profile: expected a model of ${models.map((model) => model.name).join(", ")} and f32 or bf16, got "${name}" and "${dtype}"`,
  );
}
const { batch, seq, shape } = named;
const device = cpuDevice({ threads: Number(threads) });
const model = await attachLora(await randomModel(device, configOf(shape, 512), dtype), { rank: 8, alpha: 16 });
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

const addon = loadAddon();
const meter = addon.create(Number(threads), process.env["TUNEBOOK_ISA"]);
let peak = 0;
const whole = never();
const measureWhole = async (step: number) => {
  peak = Math.max(peak, addon.peak(meter, dtype === "bf16"));
  await measure(whole, () => stepper.update(filled, { learningRate: 1e-4, step, clipNorm: 1, seed: 42 }));
};
// Before any kind runs alone: what kinds leave in each other's memory is no batch.
for (let step = 1; step <= ROUNDS; step++) await measureWhole(step);

const kinds: Kind[] = [];
const accumulate = [...plan.accumulate.values()].map(({ program }) => program);
for (const program of [plan.clear, ...accumulate, plan.update]) {
  const byName = new Map<string, Op[]>();
  for (const op of program.ops) {
    const kind = kindOf(program, op);
    if (!kind.startsWith(only)) continue;
    byName.set(kind, [...(byName.get(kind) ?? []), op]);
  }
  for (const [kind, ops] of byName) {
    const alone: Program = { ...program, name: kind, ops };
    const flops = flopsOf(alone, { seenPart: (seq + 1) / (2 * seq), labelledPart: (seq - 1) / seq }).total;
    const executable = await device.compile(alone, stepper.arenas);
    kinds.push({ name: kind, count: ops.length, flops, executable, best: never() });
  }
}
/** Small numbers whether read as f32 or as bf16, so that no kind meets what another left there in another dtype. */
const harmless = new Uint8Array(new Uint16Array(1 << 20).fill(0x3c23).buffer);
for (let round = 0; round < ROUNDS; round++) {
  peak = Math.max(peak, addon.peak(meter, dtype === "bf16"));
  for (const kind of kinds) {
    const { activations } = stepper.arenas;
    for (let at = 0; activations && at < activations.bytes; at += harmless.length) {
      await activations.write(at, harmless.subarray(0, Math.min(harmless.length, activations.bytes - at)));
    }
    await measure(kind.best, () => kind.executable.run(neutralUniforms));
  }
}
addon.dispose(meter);

const sum = kinds.reduce((total, { best }) => total + best.wall, 0);
const flops = kinds.reduce((total, kind) => total + kind.flops, 0);
const percent = (part: number) => `${(100 * part).toFixed(1)} %`.padStart(7);
console.log(`${device.info.description}; ${name} ${dtype}, ${batch} x ${seq} tokens, rank 8 on all linear layers`);
const ofPeak = (done: number, { wall, processor }: Times) =>
  done > 0 ? `${percent(done / wall / peak)} ${percent((done / processor / peak) * Number(threads))}` : " ".repeat(15);
console.log(
  `peak ${(peak / 1e9).toFixed(0)} GFLOP/s; a step ${(whole.wall * 1e3).toFixed(2)} ms, ${((batch * seq) / whole.wall).toFixed(0)} tokens/s; ` +
    `by processor time ${(whole.processor * 1e3).toFixed(2)} ms`,
);
if (only === "") console.log(`of the peak, by the clock and by processor time: ${ofPeak(flops, whole)}`);
console.log(`kinds by themselves ${(sum * 1e3).toFixed(2)} ms`);
console.log(
  "      ms    of the sum    us each   of the peak: clock, processor   how often   what\n" +
    [...kinds]
      .sort((a, b) => b.best.wall - a.best.wall)
      .map(({ name: what, count, flops: done, best }) =>
        [
          (best.wall * 1e3).toFixed(2).padStart(8),
          percent(best.wall / sum).padStart(11),
          ((best.wall * 1e6) / count).toFixed(0).padStart(10),
          ofPeak(done, best).padStart(28),
          String(count).padStart(14),
          `  ${what}`,
        ].join(" "),
      )
      .join("\n"),
);
await device.dispose();
