// A memory budget: as little arithmetic as possible is repeated, the run stays within it to the byte, and its numbers do not change.

import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { totalBytes as total } from "../../src/engine/index.js";
import {
  choicesOf,
  firstThatFits,
  type LayerKind,
  type Mixture,
  mixtures,
  type Saving,
} from "../../src/train/budget.js";
import type { MemoryBytes, TrainEvent } from "../../src/train/events.js";
import { type TrainOptions, train } from "../../src/train/index.js";
import type { LayerChoice } from "../../src/train/layers.js";
import { backwards, eventsOf, temporaryFolder, tinyLora, tinyOptions, trainTiny } from "./tiny-run.js";

/** Two kinds of layers, as an encoder and a decoder have: what each choice saves and repeats. */
const kinds: readonly LayerKind[] = [
  { layers: [0, 1, 2], mlp: { bytes: 45, flops: 4 }, layer: { bytes: 90, flops: 10 } },
  { layers: [3, 4, 5, 6], mlp: { bytes: 30, flops: 5 }, layer: { bytes: 100, flops: 8 } },
];
const layers = 7;

function spent(choices: readonly LayerChoice[]): Saving {
  let [bytes, flops] = [0, 0];
  for (const kind of kinds) {
    for (const position of kind.layers) {
      const choice = choices[position] ?? "keep";
      const saving = choice === "keep" ? undefined : kind[choice];
      bytes += saving?.bytes ?? 0;
      flops += saving?.flops ?? 0;
    }
  }
  return { bytes, flops };
}

/** Every one of the 3^7 ways to choose. */
function* every(): Generator<readonly LayerChoice[]> {
  const words = ["keep", "mlp", "layer"] as const;
  for (let code = 0; code < 3 ** layers; code++) {
    yield Array.from({ length: layers }, (_, at) => words[Math.floor(code / 3 ** at) % 3] as LayerChoice);
  }
}

const KEPT = 1000;

describe("mixtures", () => {
  test("hold the least repeated arithmetic for every amount to be saved, of all 2187 ways to choose", () => {
    const all = [...every()].map(spent);
    const list = mixtures(kinds);
    for (let need = 0; need <= 670; need += 5) {
      const cheapest = Math.min(...all.filter(({ bytes }) => bytes >= need).map(({ flops }) => flops));
      expect(list.find(({ bytes }) => bytes >= need)?.flops, `to save ${need}`).toBe(cheapest);
    }
  });

  test("spelt out, change as many layers as they say, whole layers first", () => {
    for (const mixture of mixtures(kinds)) {
      const choices = choicesOf(kinds, mixture, layers);
      expect(spent(choices)).toEqual({ bytes: mixture.bytes, flops: mixture.flops });
      const firsts = choices.slice(0, 3).join();
      expect(firsts).toMatch(/^(layer,?)*(mlp,?)*(keep,?)*$/);
    }
  });
});

describe("firstThatFits", () => {
  test.each([0.8, 1, 1.3])("finds the cheapest that fits although its estimates are off by %d", async (off) => {
    const list = mixtures(kinds);
    const exact = (at: number) => KEPT - (list[at] as Mixture).bytes;
    for (let limit = 300; limit <= 1010; limit += 7) {
      const plans: number[] = [];
      const at = await firstThatFits(
        list.length,
        limit,
        (i) => off * exact(i),
        async (i) => {
          plans.push(i);
          return exact(i);
        },
      );
      const first = list.findIndex((_, i) => exact(i) <= limit);
      expect(at, `within ${limit}`).toBe(first < 0 ? undefined : first);
      expect(plans.length).toBeLessThanOrEqual(9);
    }
  });
});

/** Many layers and long rows, so that activations are most of the memory. */
const deep = { config: { layers: 5 } };
const long = { data: backwards.slice(0, 8), maxTokens: 32, batchSize: 4, maxSteps: 3 };
type Planned = Extract<TrainEvent, { kind: "planned" }>;

async function runWithin(memoryBudget?: number, more: Partial<TrainOptions> = {}) {
  const run = await trainTiny(await tinyLora({}, deep), { ...long, memoryBudget, ...more });
  const [planned] = eventsOf(run, "planned");
  const [checked] = eventsOf(run, "checked");
  return {
    run,
    planned: planned as Planned,
    memory: planned?.memory as MemoryBytes,
    held: eventsOf(run, "updated").map(({ memory }) => total(memory)),
    losses: eventsOf(run, "updated").map(({ loss }) => loss),
    finding: checked?.findings.find(({ check }) => check === "memory"),
  };
}

describe("a run with a memory budget", () => {
  test("and a fixed number of rows at once has the losses of the run that keeps all, to the bit", async () => {
    const free = await runWithin();
    const budget = Math.floor(total(free.memory) - 0.5 * free.memory.activations);
    const tight = await runWithin(budget, { microBatchSize: long.batchSize });
    expect(total(tight.memory)).toBeLessThanOrEqual(budget);
    expect(tight.held).toEqual(tight.held.map(() => total(tight.memory)));
    expect(tight.losses).toEqual(free.losses);
    expect(free.finding).toBeUndefined();
    expect(tight.finding?.message).toMatch(
      /^to stay within \d+\.\d MB, 4 rows go through the model at once, 1 pass an update; batches compute layers again: at most, of 5 layers, /,
    );
  });

  test("divides an update into fewer rows at once where that repeats less, and makes the same update", async () => {
    const free = await runWithin();
    const budget = Math.floor(total(free.memory) - 0.4 * free.memory.activations);
    const tight = await runWithin(budget);
    expect(total(tight.memory)).toBeLessThanOrEqual(budget);
    expect(tight.planned.microBatchSize).toBe(2);
    expect(tight.planned.passes).toBe(2);
    expect(tight.planned.recompute?.every(({ mlp, layer }) => mlp + layer === 0)).toBe(true);
    expect(tight.run.options.microBatchSize).toBe(2);
    for (const [at, loss] of tight.losses.entries()) {
      expect(Math.abs(loss - (free.losses[at] as number))).toBeLessThan(1e-6); // f32 sums in another order
    }
  });

  test("goes on with the rows at once it was started with, whatever the budget is then", async () => {
    const outputFolder = path.join(temporaryFolder(), "run");
    const free = await runWithin();
    const budget = Math.floor(total(free.memory) - 0.4 * free.memory.activations);
    const whole = await runWithin(budget, { maxSteps: 4 });
    const options = { outputFolder, maxSteps: 4, saveSteps: 1 };
    const stopped = train(await tinyLora({}, deep), tinyOptions({ ...long, ...options, memoryBudget: budget }));
    for await (const event of stopped) if (event.kind === "saved" && event.update === 2) void stopped.stop();
    const resumed = await runWithin(undefined, { ...options, resume: true });
    expect(resumed.run.options.microBatchSize).toBe(2);
    expect(resumed.losses).toEqual(whole.losses);
    const file = JSON.parse(readFileSync(path.join(outputFolder, "options.json"), "utf8"));
    expect(file.options.microBatchSize).toBe(2);
    await expect(runWithin(undefined, { ...options, resume: true, microBatchSize: 4 })).rejects.toThrow(
      "`microBatchSize` was 2 and is now 4",
    );
  });

  test("counts evaluation: validation rows that are longer go through the model in fewer at once", async () => {
    const texts = ["ab", "cd", "ef", "gh"].map((text) => ({ text }));
    const validation = ["abcdefghij".repeat(3), "klm", "nop"].map((text) => ({ text }));
    const options = { data: texts, validation, maxTokens: 64, batchSize: 4, memoryBudget: 1e8 };
    const run = await trainTiny(await tinyLora({}, { config: { contextTokens: 64 } }), { ...options, maxSteps: 2 });
    expect(eventsOf(run, "evaluated").map(({ trainedTokens }) => trainedTokens)).toEqual([39, 39, 39]);
    const [planned] = eventsOf(run, "planned");
    expect(eventsOf(run, "updated").map(({ memory }) => total(memory))).toEqual([
      total(planned?.memory as MemoryBytes),
      total(planned?.memory as MemoryBytes),
    ]);
  });

  test("says what would fit when nothing does: shorter rows, or a smaller model", async () => {
    const model = await tinyLora({}, deep);
    const single = await runWithin(undefined, { batchSize: 1, gradientCheckpointing: true });
    const memoryBudget = total(single.memory) - 256;
    await expect(trainTiny(model, { ...long, memoryBudget })).rejects.toThrow(
      /`memoryBudget` of \d+\.\d MB is too small: with every layer computed again and one row of 32 tokens at once the run takes \d+\.\d MB; nothing shorter fits: take a smaller model, dtype or rank/,
    );
    await expect(trainTiny(model, { ...long, memoryBudget, microBatchSize: 4 })).rejects.toThrow("4 rows of 32 tokens");
    await expect(trainTiny(model, { ...long, memoryBudget: 1000 })).rejects.toThrow(
      /the weights \(\d+\.\d MB\), what trains with its gradients and moments \(\d+\.\d MB\) alone take \d+\.\d MB/,
    );
    const longer = await tinyLora({}, { config: { layers: 5, contextTokens: 96 } });
    const rows = [{ text: "abcdefghijklmnopqrstu".repeat(6) }];
    const full = await trainTiny(longer, { data: rows, maxTokens: 96, batchSize: 1, gradientCheckpointing: true });
    const short = total(eventsOf(full, "planned")[0]?.memory as MemoryBytes) - 256;
    await expect(trainTiny(longer, { data: rows, maxTokens: 96, memoryBudget: short })).rejects.toThrow(
      "`maxTokens: 64` would fit",
    );
  });

  test("is refused together with gradientCheckpointing", async () => {
    const model = await tinyLora({}, deep);
    await expect(trainTiny(model, tinyOptions({ memoryBudget: 1e9, gradientCheckpointing: true }))).rejects.toThrow(
      "`gradientCheckpointing` computes every layer again and `memoryBudget` chooses which; give one of them",
    );
  });
});
