// A model that speaks: memory for one text, and the Programs on it. Next to read: generate.ts, the same for one prompt at a time.

import type { Arena, Category, Executable } from "../engine/index.js";
import { neutralUniforms } from "../engine/index.js";
import type { PlannedProgram } from "../graph/index.js";
import type { Model } from "../model/index.js";
import { type Context, contextOf, contextPlaces, contextRange, promptIn, StreamDecoder } from "../tokens/index.js";
import { capacityFor, chunksOf, type GenerationPlan, planGeneration } from "./plan.js";
import { checkSampling, type SampleOptions, sampleToken } from "./sample.js";
import { StopText } from "./stop.js";

export interface GenerateOptions extends SampleOptions {
  /** Longest answer in tokens, fewer where the model's context ends before. @default 200 */
  readonly maxNewTokens?: number | undefined;
  /** Strings that end the answer and are not part of it. @default none */
  readonly stop?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface GeneratedToken {
  readonly id: number;
  /** The text that is certain with this token; "" in the middle of a character, and for the token that ends the answer. */
  readonly text: string;
  /** Natural log of the probability the model gave it. */
  readonly logprob: number;
}

export const defaultNewTokens = 200;

/** Memory that several generators take turns on. */
export interface GenerationMemory {
  readonly arenas: Readonly<Record<(typeof owned)[number], Arena>>;
  free(): void;
}

const owned = ["cache", "activations", "workspace", "io"] as const satisfies readonly Category[];

/** Allocate what plans need, the most of each. @throws EngineError when the memory is not there. */
export function allocateGeneration(model: Model, plans: readonly GenerationPlan[]): GenerationMemory {
  const arenas: Arena[] = [];
  const free = () => {
    for (const arena of arenas) arena.free();
  };
  try {
    for (const category of owned) {
      arenas.push(model.device.allocate(category, Math.max(...plans.map(({ bytes }) => bytes[category]))));
    }
  } catch (error) {
    free();
    throw error;
  }
  return {
    arenas: Object.fromEntries(arenas.map((arena) => [arena.category, arena])) as GenerationMemory["arenas"],
    free,
  };
}

/** Generates one text after another. Made by `openGenerator`; whoever made it disposes it. */
export class TextGenerator {
  readonly #executables = new Map<PlannedProgram, Promise<Executable>>();
  /** What the text that is being written began with. */
  #text: TextStart = {};
  #busy = false;

  constructor(
    readonly model: Model,
    readonly plan: GenerationPlan,
    readonly memory: GenerationMemory,
    /** Whether to free the memory too. */
    readonly owns: boolean,
  ) {}

  /**
   * The answer, token by token; the last one may be the end mark. Lazy: nothing runs before the first `next()`.
   *
   * @param prompt - Text, which gets the begin mark, or ids as they are.
   * @throws RangeError when an option does not hold, or prompt and one token do not fit; the signal's reason when it was aborted.
   */
  async *generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    checkSampling(options);
    const { maxNewTokens = defaultNewTokens, stop = [], signal } = options;
    if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) {
      throw new RangeError(`generate: expected \`maxNewTokens\` to be an integer of at least 1, got ${maxNewTokens}`);
    }
    if (stop.some((text) => text === ""))
      throw new RangeError("generate: expected `stop` to be texts that are not empty");
    const { tokenizer, form } = this.model;
    const ids = promptIds(this.model, prompt);
    checkPrompt(this.model, ids, this.plan.capacity);
    if (this.#busy)
      throw new RangeError("generate: this generator is in the middle of another text; open one for each");
    this.#busy = true;
    try {
      const decoder = new StreamDecoder(tokenizer, { after: form.kind === "causal" ? ids : [] });
      const stopText = new StopText(stop);
      const ends = endMarks(this.model);
      const begun = form.kind === "seq2seq" ? 1 : ids.length; // T5's decoder begins with its start alone
      const most = Math.min(begun + maxNewTokens, this.plan.capacity);
      let scores = await this.#read(ids, signal);
      for (let length = begun; ; ) {
        const { id, logprob } = sampleToken(scores, options, length);
        length += 1;
        const ended = ends.has(id);
        let text = ended ? "" : stopText.push(decoder.push(id));
        const last = ended || length >= most || stopText.found;
        if (last && !stopText.found) text += stopText.push(decoder.flush());
        if (last) text += stopText.flush();
        yield { id, text, logprob };
        if (last) return;
        signal?.throwIfAborted();
        scores = await this.#run(1, [id], length - 1, signal);
      }
    } finally {
      this.#busy = false;
    }
  }

  /** The whole answer as text. */
  async text(prompt: string | readonly number[], options: GenerateOptions = {}): Promise<string> {
    let text = "";
    for await (const token of this.generate(prompt, options)) text += token.text;
    return text;
  }

  /** Scores of every token of the vocabulary after a text, [vocab] f32. */
  async scores(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    checkPrompt(this.model, ids, this.plan.capacity);
    if (this.#busy) throw new RangeError("scores: this generator is in the middle of a text; open one for each");
    this.#busy = true;
    try {
      return await this.#read(ids, signal);
    } finally {
      this.#busy = false;
    }
  }

  async dispose(): Promise<void> {
    for (const executable of await Promise.allSettled(this.#executables.values())) {
      if (executable.status === "fulfilled") executable.value.dispose();
    }
    this.#executables.clear();
    if (this.owns) this.memory.free();
  }

  /** Read a prompt chunk by chunk. @returns the scores after its last token */
  async #read(ids: readonly number[], signal: AbortSignal | undefined): Promise<Float32Array> {
    const { form } = this.model;
    if (form.kind === "prefix") {
      this.#text = { context: contextOf(ids, form) };
      const chunk = chunksOf(this.model, this.plan.capacity).findLast((size) => size >= ids.length);
      return this.#run(chunk ?? this.plan.capacity, ids, 0, signal);
    }
    if (form.kind === "seq2seq") {
      await this.#encode(ids, signal);
      return this.#run(1, [form.start], 0, signal);
    }
    const chunks = chunksOf(this.model, this.plan.capacity);
    let scores: Float32Array = new Float32Array(0);
    for (let from = 0; from < ids.length; ) {
      signal?.throwIfAborted();
      const rest = ids.length - from;
      const chunk = rest === 1 ? 1 : (chunks.find((size) => size <= rest && size > 1) ?? 16);
      const part = ids.slice(from, from + chunk);
      scores = await this.#run(chunk, part, from, signal);
      from += part.length;
    }
    return scores;
  }

  /** T5: the encoder reads a prompt, and its keys and values stay. */
  async #encode(ids: readonly number[], signal: AbortSignal | undefined): Promise<void> {
    const { encoder, capacity } = this.plan;
    if (!encoder) throw new RangeError("generate: no Program reads the prompt");
    this.#text = { source: ids.length };
    const each = (of: (t: number) => number, filler: number) =>
      Int32Array.from({ length: capacity }, (_, t) => (t < ids.length ? of(t) : filler));
    await this.#write(encoder, {
      "source.ids": each((t) => ids[t] as number, 0),
      "source.positions": each((t) => t, 0),
      "source.rows": each((t) => t, -1),
      "source.ranges": Int32Array.from({ length: 2 * capacity }, (_, i) =>
        i % 2 === 1 && i < 2 * ids.length ? ids.length : 0,
      ),
    });
    await (await this.#executable(encoder)).run(neutralUniforms, signal ? { signal } : {});
  }

  /** All inputs in one write: five would take a third of the time of a small model's token. */
  async #write({ find }: PlannedProgram, inputs: Readonly<Record<string, Int32Array>>): Promise<void> {
    const places = Object.entries(inputs).map(([name, values]) => ({ values, offset: find(name).offset }));
    const start = Math.min(...places.map(({ offset }) => offset));
    const block = new Uint8Array(Math.max(...places.map(({ offset, values }) => offset + values.byteLength)) - start);
    for (const { offset, values } of places) block.set(new Uint8Array(values.buffer), offset - start);
    await this.memory.arenas.io.write(start, block);
  }

  /** One run over some tokens that stand at `from` in the text. */
  async #run(
    chunk: number,
    ids: readonly number[],
    from: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const planned = this.plan.programs.get(chunk);
    if (!planned) throw new RangeError(`generate: no Program reads ${chunk} tokens`);
    const { io } = this.memory.arenas;
    const real = (value: (i: number) => number, filler: number) =>
      Int32Array.from({ length: chunk }, (_, i) => (i < ids.length ? value(i) : filler));
    // Tokens that fill the chunk up see nothing, and leave the cache as it is.
    const { context, source = 0 } = this.#text;
    const places = (i: number) => (context ? contextPlaces(from + i, context) : [from + i]);
    const each = context ? 2 : 1;
    const ends = (i: number) => (context ? contextRange(from + i, context)[1] : from + i + 1);
    const pairs = (end: (i: number) => number) =>
      Int32Array.from({ length: 2 * chunk }, (_, at) => (at % 2 === 1 && at < 2 * ids.length ? end((at - 1) / 2) : 0));
    await this.#write(planned, {
      ids: real((i) => ids[i] as number, 0),
      positions: Int32Array.from({ length: each * chunk }, (_, at) =>
        at < each * ids.length ? (places(Math.floor(at / each))[at % each] as number) : 0,
      ),
      rows: real((i) => from + i, -1),
      ranges: pairs(ends),
      last: Int32Array.of(ids.length - 1),
      ...(this.plan.encoder && { "source.seen": pairs(() => source) }),
    });
    await (await this.#executable(planned)).run(neutralUniforms, signal ? { signal } : {});
    const { config, tokenizer } = this.model;
    const bytes = await io.read(planned.find("logits").offset, config.vocab * 4);
    const scores = new Float32Array(bytes.slice().buffer);
    return scores.subarray(0, Math.min(config.vocab, tokenizer.vocab)); // rows beyond the tokenizer stand for nothing
  }

  #executable(planned: PlannedProgram): Promise<Executable> {
    let executable = this.#executables.get(planned);
    if (!executable) {
      const { model } = this;
      const trained = model.trained ? { trained: model.trained.arena } : {};
      const arenas = { ...this.memory.arenas, weights: model.weights.arena, ...trained };
      executable = model.device.compile(planned.program, arenas);
      this.#executables.set(planned, executable);
    }
    return executable;
  }
}

/** GLM: what of the text is context. T5: how many tokens its encoder has read. */
interface TextStart {
  readonly context?: Context;
  readonly source?: number;
}

/**
 * Plan and allocate generation for texts of up to `tokens` tokens, prompt and answer.
 *
 * @param options.tokens - @default the model's whole context
 */
export async function openGenerator(
  model: Model,
  { tokens = model.contextTokens }: { readonly tokens?: number } = {},
): Promise<TextGenerator> {
  const plan = await planGeneration(model, capacityFor(model, tokens));
  return new TextGenerator(model, plan, allocateGeneration(model, [plan]), true);
}

/** Ids of a prompt: a text gets the marks of the model's form. */
export function promptIds({ tokenizer, form }: Model, prompt: string | readonly number[]): readonly number[] {
  const ids = typeof prompt === "string" ? promptIn(form, tokenizer, prompt) : prompt;
  if (ids.length === 0)
    throw new RangeError("generate: the prompt has no tokens and the tokenizer no begin mark; give at least one word");
  return ids;
}

/** @throws RangeError when a prompt leaves no room for one token. */
export function checkPrompt({ name }: Model, ids: readonly number[], capacity: number): void {
  if (ids.length < capacity) return;
  throw new RangeError(
    `generate: the prompt has ${ids.length} tokens, expected fewer than ${capacity}, the context of "${name}" here; shorten the prompt`,
  );
}

function endMarks({ config, tokenizer }: Model): ReadonlySet<number> {
  return new Set(tokenizer.eos === undefined ? config.eos : [...config.eos, tokenizer.eos]);
}
