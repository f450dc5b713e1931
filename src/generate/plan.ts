// The Programs and memory of generating text: one Program reads a chunk of the prompt, one makes a token. Next to read: generator.ts.

import { setImmediate } from "node:timers/promises";
import { type Category, categories } from "../engine/index.js";
import {
  gatherRows,
  inTurns,
  type Layout,
  layOut,
  linear,
  type PlannedProgram,
  planning,
  Trace,
} from "../graph/index.js";
import type { Model } from "../model/index.js";

/** Tokens that one run of a Program reads; 1 makes the next token. Short prompts do not pay for long chunks. */
export const chunks = [64, 16, 1] as const;
export type Chunk = (typeof chunks)[number];

export interface GenerationPlan {
  /** Tokens of prompt and answer that keys and values are kept for. */
  readonly capacity: number;
  readonly programs: ReadonlyMap<Chunk, PlannedProgram>;
  /** Without the model itself. */
  readonly bytes: Readonly<Record<Category, number>>;
}

/** Capacities are multiples of this, up to the model's context. */
const STEP = 64;

/** The capacity that holds so many tokens of this model. */
export function capacityFor(model: Model, tokens: number): number {
  return Math.min(model.contextTokens, Math.ceil(tokens / STEP) * STEP);
}

/** Plan generation with a model, to the byte; allocates nothing. Gives other work a turn between two Programs. */
export async function planGeneration(model: Model, capacity: number): Promise<GenerationPlan> {
  const programs = new Map<Chunk, PlannedProgram>();
  for (const chunk of chunks) {
    programs.set(chunk, await planChunk(model, capacity, chunk));
    await setImmediate();
  }
  const most = (category: Category) =>
    Math.max(...[...programs.values()].map(({ program }) => program.arenaBytes[category]));
  const own = categories.map((category) => [
    category,
    category === "weights" || category === "trained" ? 0 : most(category),
  ]);
  return { capacity, programs, bytes: Object.fromEntries(own) as Record<Category, number> };
}

/**
 * Inputs ids, positions and rows [chunk], ranges [chunk, 2] and last [1] i32, where rows are places in the cache and last is the token
 * whose scores are wanted; output logits [1, vocab] f32.
 */
function planChunk(model: Model, capacity: number, chunk: Chunk): Promise<PlannedProgram> {
  const trace = new Trace({ activations: model.dtype });
  const input = (name: string, ...shape: number[]) => trace.input(name, "i32", shape);
  const hidden = model.hidden(trace, {
    batch: 1,
    ids: input("ids", chunk),
    positions: input("positions", chunk),
    ranges: input("ranges", chunk, 2),
    cache: { rows: input("rows", chunk), capacity },
  }); // [chunk, hidden]
  const last = gatherRows(hidden, input("last", 1)); // [1, hidden]
  trace.output("logits", linear(last, model.head(trace), { dtype: "f32" })); // [1, vocab]
  return inTurns(
    planning(trace, {
      name: `generate ${chunk}`,
      device: model.device,
      placements: new Map([...model.placements, ...cacheLayout(trace).placements]),
    }),
  );
}

function cacheLayout(trace: Trace): Layout {
  return layOut(
    "cache",
    [...trace.tensors].filter(({ place }) => place === "state"),
  );
}
