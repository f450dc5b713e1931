// Encoded rows -> batches: the only padding, and the only shift by one.

import { IGNORED } from "../engine/ops.js";
import { permutation } from "../engine/random.js";
import { contextPlaces, contextRange } from "./form.js";
import type { Encoded } from "./template.js";

/** A block of rows, each array row-major [batch, seq], padded on the right. */
export interface Batch {
  readonly tokens: Int32Array;
  /** labels[t] is the token that position t must predict, or IGNORED. */
  readonly labels: Int32Array;
  /** Place of each token in its row; 0 for padding. GLM's tokens have two each, [batch, seq, 2]. */
  readonly positions: Int32Array;
  /** [batch, seq, 2]: the keys of its own row that each token sees, from and to: [0, t + 1) or what GLM's context adds, [0, 0) for padding. */
  readonly ranges: Int32Array;
  /** T5: what the encoder reads. */
  readonly source?: Source;
  readonly batch: number;
  readonly seq: number;
  /** Tokens without padding. */
  readonly tokenCount: number;
  /** Labels that are not IGNORED. */
  readonly trainedCount: number;
  /** Positions in the data of the rows; fewer than `batch` when padded rows fill the last batch. */
  readonly rows: readonly number[];
}

/** The encoder's side of a batch, as long as the decoder's. */
export interface Source {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  /** [batch, seq, 2]: every token sees the whole of its row. */
  readonly ranges: Int32Array;
  /** [batch, seq, 2]: the source's tokens that each of the decoder's sees. */
  readonly seen: Int32Array;
}

export interface BatchOptions {
  /** Rows of every batch. The last one is filled up with rows of padding, so that shapes stay few. */
  readonly batchSize: number;
  /** Rows come in a random order of this seed and epoch. Left out, they come in their own. */
  readonly seed?: number | undefined;
  /** @default 0 */
  readonly epoch?: number;
  /** No batch reaches over a multiple of so many rows, such as the rows of an update. @default no limit */
  readonly windowRows?: number;
  /** Id that fills rows; nothing sees it and nothing trains on it. */
  readonly pad: number;
  /** Length of a batch: its longest row, rounded up to a multiple of this. @default 32 */
  readonly multipleOf?: number;
  /** No batch is longer, whatever the rounding. @default no limit */
  readonly maxTokens?: number;
}

/**
 * Every row once, in batches.
 *
 * @throws RangeError when there are no rows, one is longer than `maxTokens`, or an option makes no sense.
 */
export function* batches(encoded: readonly Encoded[], options: BatchOptions): Generator<Batch> {
  const { batchSize, seed, epoch = 0, pad, multipleOf = 32, maxTokens = Number.POSITIVE_INFINITY } = options;
  const { windowRows = encoded.length } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new RangeError(`expected \`batchSize\` to be an integer from 1, got ${batchSize}`);
  if (!Number.isInteger(multipleOf) || multipleOf < 1)
    throw new RangeError(`expected \`multipleOf\` to be an integer from 1, got ${multipleOf}`);
  if (!Number.isInteger(windowRows) || windowRows < Math.min(1, encoded.length))
    throw new RangeError(`expected \`windowRows\` to be an integer from 1, got ${windowRows}`);
  if (encoded.length === 0) throw new RangeError("batches: there are no rows");
  const order = seed === undefined ? Uint32Array.from(encoded.keys()) : permutation(encoded.length, seed, epoch);
  for (let start = 0, end = 0; start < order.length; start = end) {
    const window = start - (start % windowRows) + windowRows;
    end = Math.min(start + batchSize, window, order.length);
    const rows = [...order.subarray(start, end)].map((i) => encoded[i] as Encoded);
    const longest = rows.reduce((most, row) => Math.max(most, lengthOf(row)), 1);
    const tooLong = rows.find((row) => lengthOf(row) > maxTokens);
    if (tooLong)
      throw new RangeError(
        `batches: row ${tooLong.row} has ${lengthOf(tooLong)} tokens, more than \`maxTokens\` ${maxTokens}`,
      );
    yield batchOf(rows, batchSize, Math.min(maxTokens, Math.ceil(longest / multipleOf) * multipleOf), pad);
  }
}

/** Tokens that a row takes in a batch; of T5's two sides the longer. */
export function lengthOf({ ids, source = [] }: Encoded): number {
  return Math.max(ids.length, source.length);
}

function batchOf(rows: readonly Encoded[], batch: number, seq: number, pad: number): Batch {
  const tokens = new Int32Array(batch * seq).fill(pad);
  const labels = new Int32Array(batch * seq).fill(IGNORED);
  const each = rows[0]?.context ? 2 : 1;
  const positions = new Int32Array(batch * seq * each);
  const ranges = new Int32Array(batch * seq * 2);
  let tokenCount = 0;
  let trainedCount = 0;
  for (const [b, { ids, trained, context, source = [] }] of rows.entries()) {
    for (const [t, id] of ids.entries()) {
      const at = b * seq + t;
      tokens[at] = id;
      positions.set(context ? contextPlaces(t, context) : [t], at * each);
      ranges[2 * at + 1] = context ? Math.min(contextRange(t, context)[1], ids.length) : t + 1;
      if (trained[t + 1]) {
        labels[at] = ids[t + 1] as number;
        trainedCount += 1;
      }
    }
    tokenCount += ids.length + source.length;
  }
  const sides = rows[0]?.source ? { source: sourceOf(rows, batch, seq, pad) } : {};
  const numbers = rows.map(({ row }) => row);
  return { tokens, labels, positions, ranges, ...sides, batch, seq, tokenCount, trainedCount, rows: numbers };
}

function sourceOf(rows: readonly Encoded[], batch: number, seq: number, pad: number): Source {
  const tokens = new Int32Array(batch * seq).fill(pad);
  const positions = new Int32Array(batch * seq);
  const ranges = new Int32Array(batch * seq * 2);
  const seen = new Int32Array(batch * seq * 2);
  for (const [b, { ids, source = [] }] of rows.entries()) {
    for (const [t, id] of source.entries()) {
      tokens[b * seq + t] = id;
      positions[b * seq + t] = t;
      ranges[2 * (b * seq + t) + 1] = source.length;
    }
    for (const t of ids.keys()) seen[2 * (b * seq + t) + 1] = source.length;
  }
  return { tokens, positions, ranges, seen };
}
