// Which batches each update gets, in which order: it follows from the seed alone, so any update can be found again.

import { permutation } from "../engine/random.js";
import type { Batch, Encoded } from "../tokens/index.js";
import { batches, lengthOf } from "../tokens/index.js";
import type { Dataset } from "./dataset.js";
import { countBuckets, paddedTokens, SEQ_MULTIPLE } from "./microbatch.js";
import { type ResolvedOptions, rowsPerUpdate } from "./options.js";
import type { RunBuckets, RunShapes } from "./plan.js";

/** Shapes of a run's batches for any number of rows at once. */
export function shapesOf(data: Dataset, options: ResolvedOptions): RunShapes {
  const rows = data.train.kept;
  const order = permutation(rows.length, options.seed, 0);
  const { maxTokens } = options;
  const perUpdate = rowsPerUpdate(options);
  return {
    rowsPerUpdate: Math.min(perUpdate, rows.length),
    at(microBatch): RunBuckets {
      const train = countBuckets(rows, order, { microBatch, rowsPerUpdate: perUpdate, maxTokens });
      const held = data.validation?.kept ?? [];
      const batch = validationRows(data, options, microBatch);
      const first = [...order.subarray(0, microBatch)].map((i) => lengthOf(rows[i] as Encoded));
      return {
        train,
        validation: [...new Set(held.map((row) => paddedTokens(lengthOf(row), maxTokens)))].map((seq) => ({
          batch,
          seq,
        })),
        first: { batch: microBatch, seq: paddedTokens(Math.max(...first), maxTokens) },
      };
    },
  };
}

/** Rows evaluated at once: as many as are trained on at once, fewer where validation rows are longer, so that they take no more tokens. */
function validationRows(data: Dataset, { maxTokens }: ResolvedOptions, microBatch: number): number {
  const longest = (rows: readonly Encoded[]) =>
    paddedTokens(
      rows.reduce((most, row) => Math.max(most, lengthOf(row)), 1),
      maxTokens,
    );
  const tokens = microBatch * longest(data.train.kept);
  return Math.max(1, Math.min(microBatch, Math.floor(tokens / longest(data.validation?.kept ?? []))));
}

export class Feed {
  /** The last update of an epoch may have fewer rows; it is one like any other. */
  readonly updatesPerEpoch: number;
  readonly updates: number;
  /** Rows that go through the model at once. */
  readonly microBatch: number;
  /** Passes of an update through the model. */
  readonly passes: number;
  /** The first batch of the run. */
  readonly first: Batch;
  readonly #rowsPerUpdate: number;

  constructor(
    readonly data: Dataset,
    readonly options: ResolvedOptions,
    readonly pad: number,
  ) {
    const { microBatchSize, batchSize, maxSteps, epochs } = options;
    this.#rowsPerUpdate = rowsPerUpdate(options);
    this.microBatch = microBatchSize ?? batchSize;
    this.passes = Math.ceil(this.#rowsPerUpdate / this.microBatch);
    this.updatesPerEpoch = Math.ceil(data.train.kept.length / this.#rowsPerUpdate);
    this.updates = maxSteps ?? Math.max(1, Math.ceil(epochs * this.updatesPerEpoch));
    this.first = this.#first();
  }

  /** The batches of each update after the first `done`. */
  *from(done: number): Generator<readonly Batch[]> {
    for (let update = done; update < this.updates; ) {
      const epoch = Math.floor(update / this.updatesPerEpoch);
      let skip = (update % this.updatesPerEpoch) * this.passes;
      let window: Batch[] = [];
      for (const batch of this.#training(epoch)) {
        if (skip-- > 0) continue;
        window.push(batch);
        if (window.length < this.passes) continue;
        yield window;
        window = [];
        update += 1;
        if (update === this.updates) return;
      }
      if (window.length === 0) continue;
      yield window;
      update += 1;
    }
  }

  #first(): Batch {
    for (const batch of this.#training(0)) return batch;
    throw new RangeError("train: there is no batch to start with");
  }

  /** The validation rows in their own order. */
  validation(): Iterable<Batch> {
    const batchSize = validationRows(this.data, this.options, this.microBatch);
    return batches(this.data.validation?.kept ?? [], { batchSize, ...this.#common() });
  }

  #training(epoch: number): Generator<Batch> {
    const order = { seed: this.options.seed, epoch, windowRows: this.#rowsPerUpdate };
    return batches(this.data.train.kept, { batchSize: this.microBatch, ...order, ...this.#common() });
  }

  #common() {
    return { pad: this.pad, multipleOf: SEQ_MULTIPLE, maxTokens: this.options.maxTokens };
  }
}
