// What a chosen plan is worth: a deep small model within a budget, the planner's choice against computing every layer again, in turns.
//
//     node --import tsx test/bench/budget.ts [--dtype bf16] [--turns 7] [--threads 2] [--hidden 384] [--part 0.35]
//
// Both make the same update of the same rows and stay within the same budget: always-checkpoint takes as many rows at once as fit.

import { parseArgs } from "node:util";
import { attachLora } from "../../src/adapter/index.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import { totalBytes } from "../../src/engine/index.js";
import type { ComputeDType } from "../../src/model/index.js";
import { batches } from "../../src/tokens/index.js";
import { Fitter } from "../../src/train/fit.js";
import { resolveOptions } from "../../src/train/index.js";
import { countChoices, type LayerChoice } from "../../src/train/layers.js";
import { microBatches } from "../../src/train/microbatch.js";
import { type RunPlan, RunPlanner, type RunShapes } from "../../src/train/plan.js";
import { Stepper } from "../../src/train/step.js";
import { busyPart } from "./machine.js";
import { randomModel, stream } from "./random-model.js";
import { configOf } from "./shapes.js";
import { spread } from "./statistics.js";

const ROWS = 8;
const SEQ = 128;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      dtype: { type: "string", default: "bf16" },
      turns: { type: "string", default: "7" },
      threads: { type: "string", default: "2" },
      hidden: { type: "string", default: "384" },
      part: { type: "string", default: "0.35" },
    },
  });
  const [turns, threads, hidden, part] = [values.turns, values.threads, values.hidden, values.part].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const device = cpuDevice({ threads });
  const shape = {
    ...{
      hidden_size: hidden,
      intermediate_size: (hidden * 8) / 3,
      num_hidden_layers: 24,
      vocab_size: 4096,
      tie_word_embeddings: false,
    },
    ...{ num_attention_heads: hidden / 64, num_key_value_heads: hidden / 64 },
  };
  const base = await randomModel(device, configOf(shape, SEQ), values.dtype as ComputeDType);
  const model = await attachLora(base, { rank: 8 });
  const planner = new RunPlanner(model, resolveOptions({ data: [] }));
  const shapes: RunShapes = {
    rowsPerUpdate: ROWS,
    at: (batch) => {
      const bucket = { batch, seq: SEQ };
      return { train: [{ ...bucket, count: Math.ceil(ROWS / batch) }], validation: [], first: bucket };
    },
  };
  const whole = (batch: number) =>
    planner.plan(shapes.at(batch), (bucket) => planner.layers(bucket).map((): LayerChoice => "layer"));
  const kept = await planner.plan(shapes.at(ROWS), () => []);
  const budget = Math.round(totalBytes(kept.bytes) - (1 - part) * kept.bytes.activations);
  const sizes = microBatches(ROWS);
  let always: RunPlan | undefined;
  for (const size of sizes) {
    const candidate = await whole(size);
    if (!always && totalBytes(candidate.bytes) <= budget) always = candidate;
  }
  const began = performance.now();
  const chosen = (await new Fitter(planner, budget, shapes).fastest(sizes))?.plan;
  const seconds = (performance.now() - began) / 1000;
  if (!always || !chosen) throw new RangeError("bench: expected both to fit the budget; give a larger --part");

  const random = stream(7);
  const rows = Array.from({ length: ROWS }, (_, row) => ({
    ids: Array.from({ length: SEQ }, () => Math.floor(random() * shape.vocab_size)),
    trained: new Array<boolean>(SEQ).fill(true),
    row,
  }));
  const side = (plan: RunPlan) => {
    const filled = [...batches(rows, { batchSize: plan.microBatch, pad: 0 })];
    return async () => {
      // Opened for its turn alone, so that both have the machine's caches and memory to themselves.
      const stepper = Stepper.open(model, plan);
      const held = totalBytes(device.allocated());
      const uniforms = { learningRate: 0, step: 1, clipNorm: 1, seed: 42 };
      await stepper.update(filled, uniforms);
      const start = performance.now();
      const { loss } = await stepper.update(filled, uniforms);
      const taken = (performance.now() - start) / 1000;
      await stepper.dispose();
      if (held > budget) throw new Error(`bench: ${held} bytes were held, more than the budget of ${budget}`);
      return { taken, loss };
    };
  };
  const [ours, theirs] = [side(chosen), side(always)];
  const times = { chosen: [] as number[], always: [] as number[] };
  const losses = new Set<number>();
  for (let turn = 0; turn < turns; turn++) {
    const first = await (turn % 2 === 0 ? ours : theirs)();
    const second = await (turn % 2 === 0 ? theirs : ours)();
    const [a, b] = turn % 2 === 0 ? [first, second] : [second, first];
    times.chosen.push(a.taken);
    times.always.push(b.taken);
    losses.add(a.loss - b.loss);
  }
  const tell = (name: string, plan: RunPlan, list: readonly number[]) => {
    const { keep, mlp, layer } = countChoices([...plan.recompute.values()][0] ?? []);
    const { median, least, most } = spread(list);
    const bytes = (totalBytes(plan.bytes) / 1e6).toFixed(1);
    const times = `${median.toFixed(3)} s (${least.toFixed(3)} to ${most.toFixed(3)})`;
    return `${name}: ${times}, ${bytes} MB, ${plan.microBatch} rows at once, keep ${keep}, mlp ${mlp}, layer ${layer}`;
  };
  const ratio = spread(times.always.map((seconds, i) => seconds / (times.chosen[i] as number)));
  const least = Math.min(...times.always) / Math.min(...times.chosen);
  console.log(
    [
      `24 layers, hidden ${hidden}, ${values.dtype}, ${ROWS} rows of ${SEQ} tokens an update, ${device.info.description}`,
      `budget ${(budget / 1e6).toFixed(1)} MB; keeping everything takes ${(totalBytes(kept.bytes) / 1e6).toFixed(1)} MB; chosen in ${seconds.toFixed(2)} s; machine ${Math.round(100 * (await busyPart()))} % busy with other work`,
      tell("chosen           ", chosen, times.chosen),
      tell("always checkpoint", always, times.always),
      `always checkpoint takes ${ratio.median.toFixed(2)} times as long, pair by pair (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}); best against best ${least.toFixed(2)}`,
      `losses differ by at most ${Math.max(...[...losses].map(Math.abs)).toExponential(1)}`,
    ].join("\n"),
  );
  await device.dispose();
}

void main();
