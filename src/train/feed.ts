// Which batches each update gets, in which order: it follows from the seed alone, so any update can be found again.

import type { Batch, Encoded } from "../tokens/index.js";
import { batches } from "../tokens/index.js";
import type { Dataset } from "./dataset.js";
import type { ResolvedOptions } from "./options.js";
import type { RunBuckets } from "./plan.js";
import type { Bucket } from "./programs.js";

/** Rows are padded to a multiple of this many tokens, so that few Programs serve all batches. */
const MULTIPLE = 32;

export class Feed {
  /** The last window of an epoch may have fewer batches; it makes an update like any other. */
  readonly updatesPerEpoch: number;
  readonly updates: number;
  readonly buckets: RunBuckets;
  /** The first batch of the run. */
  readonly first: Batch;

  constructor(
    readonly data: Dataset,
    readonly options: ResolvedOptions,
    readonly pad: number,
  ) {
    const { batchSize, gradientAccumulationSteps, maxSteps, epochs } = options;
    const perEpoch = Math.ceil(data.train.kept.length / batchSize);
    this.updatesPerEpoch = Math.ceil(perEpoch / gradientAccumulationSteps);
    this.updates = maxSteps ?? Math.max(1, Math.ceil(epochs * this.updatesPerEpoch));
    this.first = this.#first();
    this.buckets = {
      train: this.#buckets(data.train.kept),
      validation: this.#buckets(data.validation?.kept ?? []),
      first: this.first,
    };
  }

  /** The batches of each update after the first `done`. */
  *from(done: number): Generator<readonly Batch[]> {
    const { gradientAccumulationSteps } = this.options;
    for (let update = done; update < this.updates; ) {
      const epoch = Math.floor(update / this.updatesPerEpoch);
      let skip = (update % this.updatesPerEpoch) * gradientAccumulationSteps;
      let window: Batch[] = [];
      for (const batch of this.#batches(this.data.train.kept, epoch)) {
        if (skip-- > 0) continue;
        window.push(batch);
        if (window.length < gradientAccumulationSteps) continue;
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
    for (const batch of this.#batches(this.data.train.kept, 0)) return batch;
    throw new RangeError("train: there is no batch to start with");
  }

  /** The validation rows in their own order. */
  validation(): Iterable<Batch> {
    return this.#batches(this.data.validation?.kept ?? [], undefined);
  }

  #batches(rows: readonly Encoded[], epoch: number | undefined): Generator<Batch> {
    const { batchSize, seed, maxTokens } = this.options;
    const order = epoch === undefined ? {} : { seed, epoch };
    return batches(rows, { batchSize, ...order, pad: this.pad, multipleOf: MULTIPLE, maxTokens });
  }

  /** Every shape that a batch of these rows can have: a batch is as long as its longest row. */
  #buckets(rows: readonly Encoded[]): readonly Bucket[] {
    const { batchSize, maxTokens } = this.options;
    const lengths = new Set(rows.map(({ ids }) => Math.min(Math.ceil(ids.length / MULTIPLE) * MULTIPLE, maxTokens)));
    return [...lengths].map((seq) => ({ batch: batchSize, seq }));
  }
}
