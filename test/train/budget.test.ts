// A memory budget: as little arithmetic as possible is repeated, the run stays within it to the byte, and its numbers do not change.

import { describe, expect, test } from "vitest";
import { categories, type Program, totalBytes as total } from "../../src/engine/index.js";
import { fitBudget, type LayerChoice } from "../../src/train/budget.js";
import type { MemoryBytes } from "../../src/train/events.js";
import { eventsOf, tinyLora, tinyOptions, trainTiny } from "./tiny-run.js";

const layers = 6;

/** A Program whose arithmetic is one product with this many rows: two operations a row. */
function programOf(rows: number): Program {
  const buffer = (name: string, shape: readonly number[]) =>
    ({ name, arena: "activations", offset: 0, dtype: "f32", shape }) as const;
  return {
    name: "made up",
    arenaBytes: Object.fromEntries(categories.map((category) => [category, 0])) as Program["arenaBytes"],
    buffers: [buffer("x", [rows, 1]), buffer("w", [1, 1]), buffer("y", [rows, 1])],
    ops: [{ op: "linear", inputs: [0, 1, -1, -1, -1], outputs: [2], attrs: [1], workspace: { offset: 0, bytes: 0 } }],
  };
}

/** What a layer keeps, and what computing it again repeats. */
const kept: Readonly<Record<LayerChoice, number>> = { keep: 100, mlp: 55, layer: 10 };
const repeated: Readonly<Record<LayerChoice, number>> = { keep: 0, mlp: 4, layer: 10 };
const sum = (choices: readonly LayerChoice[], of: Readonly<Record<LayerChoice, number>>) =>
  choices.reduce((all, choice) => all + of[choice], 0);

async function choose(budget: number) {
  const bytesOf = new Map<Program, number>();
  return fitBudget({
    layers,
    budget,
    program: async (choices) => {
      const program = programOf(1000 + sum(choices, repeated));
      bytesOf.set(program, 50 + sum(choices, kept));
      return program;
    },
    bytes: (program) => bytesOf.get(program) as number,
  });
}

/** The least repeated arithmetic within a budget, by trying all of the 28 mixtures. */
function cheapest(budget: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let wholes = 0; wholes <= layers; wholes++) {
    for (let mlps = 0; wholes + mlps <= layers; mlps++) {
      const bytes = 50 + wholes * kept.layer + mlps * kept.mlp + (layers - wholes - mlps) * kept.keep;
      if (bytes <= budget) best = Math.min(best, wholes * repeated.layer + mlps * repeated.mlp);
    }
  }
  return best;
}

describe("fitBudget", () => {
  test("repeats the least arithmetic of all mixtures that fit, for every budget", async () => {
    for (let budget = 110; budget <= 660; budget += 5) {
      const choices = (await choose(budget)) as readonly LayerChoice[];
      expect(50 + sum(choices, kept), `bytes within ${budget}`).toBeLessThanOrEqual(budget);
      expect(sum(choices, repeated), `repeated within ${budget}`).toBe(cheapest(budget));
    }
  });

  test("keeps everything where it fits, and says how much is the least where nothing does", async () => {
    expect(await choose(650)).toEqual(new Array(layers).fill("keep"));
    expect(await choose(109)).toEqual({ least: 110 });
  });
});

/** Many layers and long rows, so that activations are most of the memory. */
const deep = { config: { layers: 5 } };
const long = { maxTokens: 32, batchSize: 4, maxSteps: 3 };

async function runWithin(memoryBudget?: number) {
  const run = await trainTiny(await tinyLora({}, deep), { ...long, memoryBudget });
  const [planned] = eventsOf(run, "planned");
  const [checked] = eventsOf(run, "checked");
  return {
    memory: planned?.memory as MemoryBytes,
    held: eventsOf(run, "updated").map(({ memory }) => total(memory)),
    losses: eventsOf(run, "updated").map(({ loss }) => loss),
    finding: checked?.findings.find(({ check }) => check === "memory"),
  };
}

describe("a run with a memory budget", () => {
  test("stays within it to the byte and has the losses of the run that keeps all, to the bit", async () => {
    const free = await runWithin();
    const budget = Math.floor(total(free.memory) - 0.5 * free.memory.activations);
    const tight = await runWithin(budget);
    expect(total(tight.memory)).toBeLessThanOrEqual(budget);
    expect(tight.held).toEqual(tight.held.map(() => total(tight.memory)));
    expect(tight.losses).toEqual(free.losses);
    expect(free.finding).toBeUndefined();
    expect(tight.finding?.message).toMatch(/^to stay within \d+\.\d MB, of 5 layers, .* are computed again$/);
  });

  test("says which batch would fit when none of its layers' choices does", async () => {
    const model = await tinyLora({}, deep);
    const full = await runWithin();
    const memoryBudget = Math.floor(total(full.memory) - 0.85 * full.memory.activations);
    await expect(trainTiny(model, { ...long, memoryBudget })).rejects.toThrow(
      /`memoryBudget` of \d+\.\d MB is too small: with every layer computed again the run takes \d+\.\d MB; `batchSize: [123]` with `gradientAccumulationSteps: [24]` would fit/,
    );
    await expect(trainTiny(model, { ...long, memoryBudget: 1000 })).rejects.toThrow("no batchSize fits");
  });

  test("is refused together with gradientCheckpointing", async () => {
    const model = await tinyLora({}, deep);
    await expect(trainTiny(model, tinyOptions({ memoryBudget: 1e9, gradientCheckpointing: true }))).rejects.toThrow(
      "`gradientCheckpointing` computes every layer again and `memoryBudget` chooses which; give one of them",
    );
  });
});
