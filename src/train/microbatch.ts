// How many rows go through the model at once: the sizes worth trying, and the shapes of batches each would make. Next to read: fit.ts.

import { type Encoded, lengthOf } from "../tokens/index.js";
import type { Bucket } from "./programs.js";

/** Rows are padded to a multiple of this many tokens, so that few Programs serve all batches. */
export const SEQ_MULTIPLE = 32;

/** A shape and how often batches of an epoch have it. */
export interface CountedBucket extends Bucket {
  readonly count: number;
}

/** Tokens of a row once padded. */
export function paddedTokens(tokens: number, maxTokens: number): number {
  return Math.min(Math.ceil(tokens / SEQ_MULTIPLE) * SEQ_MULTIPLE, maxTokens);
}

/** The sizes that cut an update into equal passes, or nearly so: fewest passes first. */
export function microBatches(rowsPerUpdate: number): readonly number[] {
  const sizes = new Set<number>();
  for (let passes = 1; passes <= rowsPerUpdate; passes++) sizes.add(Math.ceil(rowsPerUpdate / passes));
  return [...sizes];
}

/**
 * Every shape that a batch of these rows can have, a batch being as long as its longest row, and how often it comes in this order.
 *
 * @param order - Rows one after another, as an epoch takes them; `rowsPerUpdate` of them make an update.
 */
export function countBuckets(
  rows: readonly Encoded[],
  order: ArrayLike<number>,
  { microBatch, rowsPerUpdate, maxTokens }: { microBatch: number; rowsPerUpdate: number; maxTokens: number },
): readonly CountedBucket[] {
  const padded = rows.map((row) => paddedTokens(lengthOf(row), maxTokens));
  const counts = new Map<number, number>(padded.map((seq) => [seq, 0]));
  for (let update = 0; update < order.length; update += rowsPerUpdate) {
    const end = Math.min(update + rowsPerUpdate, order.length);
    for (let start = update; start < end; start += microBatch) {
      let seq = 0;
      for (let at = start; at < Math.min(start + microBatch, end); at++)
        seq = Math.max(seq, padded[order[at] as number] as number);
      counts.set(seq, (counts.get(seq) as number) + 1);
    }
  }
  return [...counts].map(([seq, count]) => ({ batch: microBatch, seq, count }));
}
