// What plan() says before a run is what the run then takes, to the byte; what it refuses cannot be run.

import { describe, expect, test } from "vitest";
import { attachLora } from "../src/adapter/index.js";
import { openDevice } from "../src/engine/devices.js";
import { categories, type Device, sketchDevice, sketchOptions, totalBytes } from "../src/engine/index.js";
import { uniformAt } from "../src/engine/random.js";
import { referenceDevice } from "../src/engine/reference/index.js";
import { planComparison } from "../src/generate/index.js";
import type { Model } from "../src/model/index.js";
import { plan } from "../src/planning.js";
import type { MemoryBytes, TrainOptions } from "../src/train/index.js";
import { resolveOptions } from "../src/train/options.js";
import { planRun } from "../src/train/plan.js";
import { train } from "../src/training.js";
import { tinyModel } from "./model/tiny.js";
import { eventsOf, temporaryFolder } from "./train/tiny-run.js";

/** A device that remembers the most it ever held. */
function watched(device: Device): { readonly device: Device; readonly peak: () => number } {
  let peak = 0;
  const allocate: Device["allocate"] = (category, bytes) => {
    const arena = device.allocate(category, bytes);
    peak = Math.max(peak, totalBytes(device.allocated()));
    return arena;
  };
  const watching = new Proxy(device, {
    get(target, name) {
      if (name === "allocate") return allocate;
      const value = Reflect.get(target, name) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { device: watching, peak: () => peak };
}

/** The quick device where it can be opened. Each call has a device of its own, so that nobody else's memory is counted. */
async function ownDevice(): Promise<Device> {
  const { cpuDevice } = await import("../src/engine/cpu.js");
  try {
    return cpuDevice({ threads: 1 });
  } catch {
    return referenceDevice();
  }
}

const letters = "abcdefghijklmnopqrstu";

/** Numbers that follow from a seed, one after another. */
function dice(seed: number): (most: number, least?: number) => number {
  let thrown = 0;
  return (most, least = 0) => least + Math.floor(uniformAt(seed, 77, thrown++) * (most - least + 1));
}

/** A random small model and run of it. */
async function randomJob(seed: number) {
  const roll = dice(seed);
  const { device, peak } = watched(await ownDevice());
  const headDim = 2 * roll(6, 1);
  const heads = 2 ** roll(2);
  const maxTokens = 32 * roll(2, 1) - (roll(1) === 0 ? 0 : 5);
  const config = {
    layers: roll(6, 1),
    headDim,
    heads,
    kvHeads: heads,
    hidden: 8 * roll(6, 1),
    intermediate: 8 * roll(12, 1),
    tied: roll(1) === 0,
    qkvBias: roll(1) === 0,
    contextTokens: 64,
  };
  const base = await tinyModel(device, { config, dtype: roll(1) === 0 ? "bf16" : "f32" });
  const model = await attachLora(base, { rank: Math.min(roll(4, 1), heads * headDim) });
  const batching = { batchSize: roll(4, 1), gradientAccumulationSteps: roll(3, 1), maxTokens };
  const text = (length: number) => ({ text: Array.from({ length }, () => letters[roll(20)]).join("") });
  const [evaluation, sampling] = [roll(1) === 0, roll(1) === 0];
  // One row is as long as rows may be, as plan() takes all of them to be.
  const data = [text(maxTokens), ...Array.from({ length: roll(9, 3) }, () => text(roll(maxTokens, 2)))];
  const options: TrainOptions = {
    data,
    template: "none",
    ...batching,
    maxSteps: 2,
    learningRate: 1e-3,
    outputFolder: `${temporaryFolder()}/run`,
    ...(evaluation ? { validation: [text(maxTokens), text(roll(maxTokens, 2)), text(3)] } : {}),
    ...(sampling ? { samplePrompts: ["ab"], sampleTokens: 4, sampleSteps: 1 } : {}),
  };
  const question = { model, ...batching, evaluation, generationTokens: sampling ? 8 : 0 };
  return { roll, device, peak, model, options, question };
}

type Job = Awaited<ReturnType<typeof randomJob>>;

/** The run with every layer computed again and one row at once: nothing takes less. */
async function leastBytes({ model, question, options }: Job): Promise<number> {
  const row = { batch: 1, seq: options.maxTokens as number };
  const resolved = resolveOptions({ data: [], gradientCheckpointing: true });
  const validation = question.evaluation ? [row] : [];
  const { bytes } = await planRun(model, resolved, { train: [row], validation, first: row });
  const beside = question.generationTokens > 0 ? await planComparison(model, question.generationTokens) : undefined;
  return totalBytes(bytes) + totalBytes(beside ?? {});
}

async function runOf(job: Job, memoryBudget?: number) {
  const run = train(job.model, { ...job.options, memoryBudget });
  await run.finished;
  const planned = eventsOf(run, "planned")[0]?.memory as MemoryBytes;
  return { planned: totalBytes(planned), held: eventsOf(run, "updated").map(({ memory }) => totalBytes(memory)), run };
}

describe("whatever the model, the run and the budget", () => {
  test.each(Array.from({ length: 24 }, (_, i) => i))(
    "what fits runs within it, what is refused could not (%i)",
    async (seed) => {
      const job = await randomJob(seed);
      const free = await plan(job.question);
      const least = await leastBytes(job);
      const budget = Math.round(least * 0.98 + ((free.totalBytes - least * 0.98) * job.roll(100)) / 100);
      const answer = await plan({ ...job.question, budget });
      if (answer.fits) {
        expect(answer.totalBytes).toBeLessThanOrEqual(budget);
        const { planned, held } = await runOf(job, budget);
        expect(job.peak()).toBeLessThanOrEqual(budget);
        expect(job.peak()).toBe(planned);
        expect(held).toEqual(held.map(() => planned));
      } else {
        expect(least).toBeGreaterThan(budget);
        await expect(runOf(job, budget)).rejects.toThrow("is too small");
      }
      await job.device.dispose();
    },
  );
});

describe("plan", () => {
  test("is the run's own plan and what the device then holds, under several budgets", async () => {
    for (const part of [1, 0.8, 0.6, 0.45, 0.3]) {
      const { device, peak } = watched(await ownDevice());
      const base = await tinyModel(device, { config: { layers: 6, hidden: 64, intermediate: 128, contextTokens: 64 } });
      const model = await attachLora(base, { rank: 2 });
      const batching = { batchSize: 4, gradientAccumulationSteps: 2, maxTokens: 64 };
      const free = await plan({ model, ...batching, generationTokens: 0 });
      const budget = Math.ceil(free.totalBytes - (1 - part) * free.bytes.activations);
      const answer = await plan({ model, ...batching, budget, generationTokens: 0 });
      expect(answer.fits).toBe(true);
      const rows = Array.from({ length: 16 }, (_, i) => ({ text: letters.repeat(4).slice(i % 5) }));
      const options = { data: rows, validation: rows.slice(0, 5), template: "none" as const, maxSteps: 2 };
      const outputFolder = `${temporaryFolder()}/run`;
      const run = train(model, { ...options, ...batching, memoryBudget: budget, outputFolder });
      await run.finished;
      const [planned] = eventsOf(run, "planned");
      expect(planned?.memory).toEqual(answer.bytes);
      expect(planned?.microBatchSize).toBe(answer.facts.microBatchSize);
      expect(planned?.recompute?.[0]).toMatchObject(answer.facts.counts);
      expect(peak()).toBe(answer.totalBytes);
      expect(peak()).toBeLessThanOrEqual(budget);
      await device.dispose();
    }
  });

  test("knows a model by its config alone as well as by its weights", async () => {
    const device = await openDevice("reference");
    const loaded = await tinyModel(device, { config: { contextTokens: 64 } });
    const fields = {
      ...{ model_type: "llama", vocab_size: 24, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2 },
      ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 64 },
    };
    for (const method of [{ rank: 3 }, "full"] as const) {
      const batching = { method, batchSize: 2, maxTokens: 32 } as const;
      const fromConfig = await plan({ model: fields, dtype: "f32", device, ...batching });
      const fromModel = await plan({ model: loaded, ...batching });
      expect(fromConfig.bytes).toEqual(fromModel.bytes);
      expect(fromConfig.facts.title).toMatch(
        method === "full" ? /; full training trains \d/ : /; LoRA of rank 3 trains \d/,
      );
    }
  });

  test("answers for 7B, 13B and 30B from shapes, within their budgets", async () => {
    const sizes = [
      { layers: 32, hidden: 4096, intermediate: 11008, heads: 32, budget: "24GB", parameters: "6,738,415,616" },
      { layers: 40, hidden: 5120, intermediate: 13824, heads: 40, budget: "40GB", parameters: "13,015,864,320" },
      { layers: 60, hidden: 6656, intermediate: 17920, heads: 52, budget: "80GB", parameters: "32,528,943,616" },
    ];
    const real = referenceDevice();
    const device = sketchDevice({ ...sketchOptions(real), name: "a machine", computeDTypes: ["bf16"] });
    for (const { layers, hidden, intermediate, heads, budget, parameters } of sizes) {
      const model = {
        ...{ model_type: "llama", vocab_size: 32000, hidden_size: hidden, intermediate_size: intermediate },
        ...{ num_hidden_layers: layers, num_attention_heads: heads, max_position_embeddings: 2048 },
      };
      const answer = await plan({ model, device, batchSize: 16, budget });
      expect(answer.fits).toBe(true);
      expect(answer.facts.title).toContain(`${parameters} parameters in bf16`);
      expect(answer.totalBytes).toBeLessThanOrEqual(answer.facts.budget as number);
      expect(answer.facts.time).toBeLessThan(1.4);
    }
  });

  test("is a table with a row for each category and a column for each part, and a picture in a notebook", async () => {
    const model = await attachLora(await tinyModel(referenceDevice(), { config: { contextTokens: 64 } }), { rank: 2 });
    const answer = await plan({ model, batchSize: 2, maxTokens: 32, budget: "10MB" });
    const text = answer.toString();
    for (const category of [...categories, "total"]) expect(text).toMatch(new RegExp(`^ {2}${category} `, "m"));
    expect(text).toMatch(/whole run +training +evaluation +generation$/m);
    expect(text).toContain("fits 9.54 MiB");
    expect(answer.options).toEqual({ memoryBudget: 10e6, microBatchSize: 2 });
    const shown = (answer as unknown as Record<symbol, () => Record<string, string>>)[
      Symbol.for("Jupyter.display")
    ]?.();
    expect(shown?.["text/plain"]).toBe(text);
    expect(shown?.["image/svg+xml"]).toMatch(/^<svg [\s\S]*budget 9\.54 MiB[\s\S]*<\/svg>$/);
  });

  test("says what would fit when nothing does", async () => {
    const model = await attachLora(await tinyModel(referenceDevice(), { config: { contextTokens: 64 } }), { rank: 2 });
    const question = { model, batchSize: 4, maxTokens: 64, generationTokens: 0 };
    const alone = await plan({ ...question, batchSize: 1, gradientCheckpointing: true });
    const answer = await plan({ ...question, budget: alone.totalBytes - 512 });
    expect(answer.fits).toBe(false);
    expect(answer.facts.would).toEqual(["`maxTokens: 32`"]);
    expect(answer.toString()).toMatch(/^does not fit [\d.]+ KiB: [\d.]+ \w+ too much$/m);
    const nothing = await plan({ ...question, budget: 1000 });
    expect(nothing.facts.would[0]).toMatch(/^a smaller model, dtype or rank: weights and what trains take [\d.]+ KiB$/);
  });

  test("refuses a question that makes no sense", async () => {
    const model: Model = await tinyModel(referenceDevice());
    await expect(plan({ model, budget: "lots" })).rejects.toThrow("expected bytes such as 24GB");
    await expect(plan({ model, budget: -1 })).rejects.toThrow(
      'expected `budget` to be bytes, or a text such as "24GB"',
    );
    await expect(plan({ model, batchSize: 0 })).rejects.toThrow("expected `batchSize` to be an integer of at least 1");
    await expect(plan({ model: "no/such/model" })).rejects.toThrow("no/such/model");
  });
});
