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
import { type Model, sourceInputs } from "../model/index.js";

/**
 * Tokens that one run of a Program reads, most first; 1 makes the next token. Short prompts do not pay for long chunks.
 *
 * GLM's context sees itself in both directions, so it is read whole: by the smallest chunk that holds it. T5's prompt is its encoder's.
 */
export function chunksOf({ form }: Pick<Model, "form">, capacity: number): readonly number[] {
  if (form.kind === "causal") return [64, 16, 1];
  if (form.kind === "seq2seq") return [1];
  const smaller = [1024, 256, 64].filter((size) => size < capacity);
  return [...new Set([capacity, ...smaller, 1])];
}

export interface GenerationPlan {
  /** Tokens of prompt and answer that keys and values are kept for. */
  readonly capacity: number;
  readonly programs: ReadonlyMap<number, PlannedProgram>;
  /** T5: reads a prompt of up to `capacity` tokens, once. */
  readonly encoder: PlannedProgram | undefined;
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
  const programs = new Map<number, PlannedProgram>();
  let cache: Layout | undefined;
  for (const chunk of chunksOf(model, capacity)) {
    const trace = traceChunk(model, capacity, chunk);
    cache ??= cacheLayout(trace);
    programs.set(chunk, await planTrace(model, trace, `generate ${chunk}`, cache));
    await setImmediate();
  }
  const encoder =
    model.form.kind === "seq2seq" && cache
      ? await planTrace(model, traceEncoder(model, capacity), `read ${capacity}`, cache)
      : undefined;
  const all = [...programs.values(), ...(encoder ? [encoder] : [])];
  const most = (category: Category) => Math.max(...all.map(({ program }) => program.arenaBytes[category]));
  const own = categories.map((category) => [
    category,
    category === "weights" || category === "trained" ? 0 : most(category),
  ]);
  return { capacity, programs, encoder, bytes: Object.fromEntries(own) as Record<Category, number> };
}

/**
 * Inputs ids and rows [chunk], positions [chunk] (GLM's [chunk, 2]), ranges [chunk, 2] and last [1] i32, where rows are places in the
 * cache and last is the token whose scores are wanted; T5's also source.seen [chunk, 2]. Output logits [1, vocab] f32.
 */
function traceChunk(model: Model, capacity: number, chunk: number): Trace {
  const trace = new Trace({ activations: model.dtype });
  const input = (name: string, ...shape: number[]) => trace.input(name, "i32", shape);
  const { kind } = model.form;
  const hidden = model.hidden(trace, {
    batch: 1,
    ids: input("ids", chunk),
    positions: kind === "prefix" ? input("positions", chunk, 2) : input("positions", chunk),
    ranges: input("ranges", chunk, 2),
    cache: { rows: input("rows", chunk), capacity },
    ...(kind === "seq2seq" && { source: { seen: input("source.seen", chunk, 2), read: { kept: capacity } } }),
  }); // [chunk, hidden]
  const last = gatherRows(hidden, input("last", 1)); // [1, hidden]
  trace.output("logits", linear(last, model.head(trace), { dtype: "f32" })); // [1, vocab]
  return trace;
}

/** Inputs source.ids, source.positions and source.rows [capacity], source.ranges [capacity, 2] i32; what is kept is the output. */
function traceEncoder(model: Model, capacity: number): Trace {
  const trace = new Trace({ activations: model.dtype });
  model.encode(trace, sourceInputs(trace, 1, capacity));
  return trace;
}

function planTrace(model: Model, trace: Trace, name: string, cache: Layout): Promise<PlannedProgram> {
  const placements = new Map([...model.placements, ...cache.placements]);
  return inTurns(planning(trace, { name, device: model.device, placements }));
}

function cacheLayout(trace: Trace): Layout {
  return layOut(
    "cache",
    [...trace.tensors].filter(({ place }) => place === "state"),
  );
}
