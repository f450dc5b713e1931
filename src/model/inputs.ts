// What a forward pass reads: inputs of its trace, declared in one place for training, evaluation and generation.

import type { Tensor, Trace } from "../graph/index.js";
import type { Form } from "../tokens/index.js";

/** T = batch * seq, S = batch * seq of the encoder. All i32. */
export interface ForwardInputs {
  readonly batch: number;
  /** Token ids [T]. */
  readonly ids: Tensor;
  /** Place of each token in its text [T]; GLM's two [T, 2]. */
  readonly positions: Tensor;
  /** Keys each token sees [T, 2], from and to. */
  readonly ranges: Tensor;
  /** Where keys and values are kept between runs, when they are: row of the cache for each token [T], and rows for each text. */
  readonly cache?: { readonly rows: Tensor; readonly capacity: number } | undefined;
  /** T5: what of the source each token sees [T, 2]; the source itself, or how many rows of it an earlier run has kept. */
  readonly source?: { readonly seen: Tensor; readonly read: SourceInputs | { readonly kept: number } };
}

/** What an encoder reads. */
export interface SourceInputs {
  readonly batch: number;
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly ranges: Tensor;
}

export interface InputSizes {
  readonly batch: number;
  /** Tokens of each row; T5's encoder reads as many. */
  readonly seq: number;
}

/** Inputs of whole rows: ids, positions and ranges, in T5's form also source.ids, source.positions, source.ranges and source.seen. */
export function rowInputs(trace: Trace, form: Form, { batch, seq }: InputSizes): ForwardInputs {
  const input = (name: string, ...shape: number[]) => trace.input(name, "i32", shape);
  const tokens = batch * seq;
  const inputs = {
    batch,
    ids: input("ids", tokens),
    positions: form.kind === "prefix" ? input("positions", tokens, 2) : input("positions", tokens),
    ranges: input("ranges", tokens, 2),
  };
  if (form.kind !== "seq2seq") return inputs;
  return { ...inputs, source: { seen: input("source.seen", tokens, 2), read: sourceInputs(trace, batch, seq) } };
}

export function sourceInputs(trace: Trace, batch: number, seq: number): SourceInputs {
  const input = (name: string, ...shape: number[]) => trace.input(`source.${name}`, "i32", shape);
  const tokens = batch * seq;
  return {
    batch,
    ids: input("ids", tokens),
    positions: input("positions", tokens),
    ranges: input("ranges", tokens, 2),
  };
}
