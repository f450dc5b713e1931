// What a family of models must tell: its tensors, its linear layers, its forward. One file per family beside this one.

import type { Tensor, Trace } from "../../graph/index.js";
import type { LlamaConfig } from "../config.js";
import type { ComputeDType, ForwardInputs, LinearSite } from "../model.js";
import type { TensorSpec } from "../resident.js";

/** What a family's forward asks of the model it runs in. */
export interface Building {
  readonly config: LlamaConfig;
  parameter(trace: Trace, name: string): Tensor;
  linear(trace: Trace, site: LinearSite, x: Tensor): Tensor;
}

export interface Family {
  /** Why this family cannot be computed in f16: what grows beyond 65504 in it. Loading it in f16 is refused with these words. */
  readonly overflowsF16?: string;
  /** Tensors by their checkpoint names, and the tables computed from the config, for texts of up to `contextTokens`. */
  tensors(config: LlamaConfig, dtype: ComputeDType, contextTokens: number): readonly TensorSpec[];
  linears(config: LlamaConfig): readonly LinearSite[];
  /** [T, hidden], after the final norm. */
  hidden(model: Building, trace: Trace, inputs: ForwardInputs): Tensor;
  /** [vocab, hidden] */
  head(model: Building, trace: Trace): Tensor;
}
