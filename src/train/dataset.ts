// Rows become encoded rows, apart for training and validation, with what was dropped or cut on the way. Next to read: health.ts.

import { createHash } from "node:crypto";
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { type Row, readRows } from "../data/index.js";
import type { Model } from "../model/index.js";
import { type Encoded, encodeRows, type Form, type Tokenizer } from "../tokens/index.js";
import type { ResolvedOptions, RowSource } from "./options.js";

export interface EncodedRows {
  /** Rows that teach something, in the order of the data. */
  readonly kept: readonly Encoded[];
  /** Number of rows read. */
  readonly count: number;
  /** Positions, from 0, of rows without a trained token. */
  readonly dropped: readonly number[];
  /** Number of rows that were cut at maxTokens. */
  readonly cut: number;
}

export interface Dataset {
  readonly train: EncodedRows;
  readonly validation: EncodedRows | undefined;
  /** sha256 of the ids and trained marks of all rows kept. */
  readonly fingerprint: string;
}

/**
 * Read and encode the data, giving other work a turn every few milliseconds.
 *
 * @throws RangeError when no row teaches anything, naming the first; DatasetError when a file does not hold, or holds no rows.
 */
export async function encodeData(
  { data, validation }: { readonly data: RowSource; readonly validation?: RowSource | number | undefined },
  { tokenizer, form }: Pick<Model, "tokenizer" | "form">,
  options: ResolvedOptions,
  signal?: AbortSignal,
): Promise<Dataset> {
  const reading = { ...options, form };
  const all = await encode(data, "the data", tokenizer, reading, signal);
  if (typeof validation !== "number") {
    const held =
      validation === undefined
        ? undefined
        : await encode(validation, "the validation data", tokenizer, reading, signal);
    return { train: all, validation: held, fingerprint: await fingerprint(all.kept, held?.kept ?? []) };
  }
  const [train, held] = await split(all.kept, validation, options.seed);
  return {
    train: { ...all, kept: train },
    validation: { kept: held, count: held.length, dropped: [], cut: 0 },
    fingerprint: await fingerprint(train, held),
  };
}

async function encode(
  source: RowSource,
  what: string,
  tokenizer: Tokenizer,
  { template, maxTokens, trainPrompt, form }: ResolvedOptions & { readonly form: Form },
  signal: AbortSignal | undefined,
): Promise<EncodedRows> {
  const kept: Encoded[] = [];
  const dropped: number[] = [];
  let cut = 0;
  for await (const encoded of encodeRows(rowsOf(source), tokenizer, {
    template,
    maxTokens,
    trainPrompt,
    form,
    signal,
  })) {
    if (teaches(encoded)) kept.push(encoded);
    else dropped.push(encoded.row);
    if (encoded.truncated) cut += 1;
  }
  if (kept.length === 0) {
    throw new RangeError(
      `train: every label of ${what} is masked: row ${dropped[0]} and the ${dropped.length - 1} others have no trained token within ` +
        `maxTokens ${maxTokens}; raise maxTokens, or check that the rows have an output`,
    );
  }
  return { kept, count: kept.length + dropped.length, dropped, cut };
}

async function* rowsOf(source: RowSource): AsyncGenerator<Row> {
  yield* readRows(source instanceof Promise ? await source : source);
}

/** Whether a label is left after the shift by one: the first token is predicted by nothing. */
function teaches({ trained }: Encoded): boolean {
  return trained.some((is, at) => is && at > 0);
}

/** Milliseconds of hashing after which other work gets a turn. */
const SLICE_MS = 8;

/** Something of each row, giving other work a turn every few milliseconds. */
export async function* inTurns<T>(rows: readonly Encoded[], of: (row: Encoded) => T): AsyncGenerator<T> {
  let since = performance.now();
  for (const row of rows) {
    yield of(row);
    if (performance.now() - since < SLICE_MS) continue;
    await setImmediate();
    since = performance.now();
  }
}

/**
 * Rows apart for validation by a hash of their tokens and the seed, so that equal rows stay on one side and added rows move none across.
 * The part is met on average.
 */
async function split(rows: readonly Encoded[], part: number, seed: number): Promise<[Encoded[], Encoded[]]> {
  const places: number[] = [];
  const place = (row: Encoded) =>
    createHash("sha256").update(`${seed};`).update(marked(row)).digest().readUIntBE(0, 6) / 2 ** 48;
  for await (const at of inTurns(rows, place)) places.push(at);
  const sorted = [...places].sort((a, b) => a - b);
  const [least, most] = [sorted[0] as number, sorted.at(-1) as number];
  if (least === most) {
    throw new RangeError(
      `train: \`validation\` ${part} needs rows that differ: ${rows.length} usable rows with one content cannot be split`,
    );
  }
  const held = places.map((at) => at === least || (at < part && at !== most)); // no side is empty
  return [rows.filter((_, i) => !held[i]), rows.filter((_, i) => held[i])];
}

async function fingerprint(train: readonly Encoded[], validation: readonly Encoded[]): Promise<string> {
  const hash = createHash("sha256");
  for (const rows of [train, validation]) {
    hash.update(`${rows.length};`);
    for await (const bytes of inTurns(rows, marked)) hash.update(`${bytes.length};`).update(bytes);
  }
  return hash.digest("hex");
}

/** Ids and which are trained, as bytes; T5's source before them. */
function marked({ ids, trained, source = [] }: Encoded): Uint8Array {
  const marks = ids.map((id, at) => (trained[at] ? -1 - id : id));
  return new Uint8Array(Int32Array.from([...source, ...marks]).buffer);
}
