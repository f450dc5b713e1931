// What a family of models must tell: its tensors, its linear layers, its forward. One file per family beside this one.

import type { Tensor, Trace } from "../../graph/index.js";
import type { Form } from "../../tokens/index.js";
import type { ModelConfig } from "../config.js";
import type { ForwardInputs, SourceInputs } from "../inputs.js";
import type { ComputeDType, LinearSite } from "../model.js";
import type { TensorSpec } from "../resident.js";

/** What a family's forward asks of the model it runs in. */
export interface Building<Config extends ModelConfig = ModelConfig> {
  readonly config: Config;
  parameter(trace: Trace, name: string): Tensor;
  linear(trace: Trace, site: LinearSite, x: Tensor): Tensor;
}

export interface Family<Config extends ModelConfig = ModelConfig> {
  /** Why this family cannot be computed in f16: what grows beyond 65504 in it. Loading it in f16 is refused with these words. */
  readonly overflowsF16?: string;
  /** How prompts and answers are laid out. */
  form(config: Config): Form;
  /** Tensors by their checkpoint names, and the tables computed from the config, for texts of up to `contextTokens`. */
  tensors(config: Config, dtype: ComputeDType, contextTokens: number): readonly TensorSpec[];
  linears(config: Config): readonly LinearSite[];
  /** [T, hidden], after the final norm. */
  hidden(model: Building<Config>, trace: Trace, inputs: ForwardInputs): Tensor;
  /** With an encoder: read a source and keep, as states, what `hidden` needs of it in later runs. */
  encode?(model: Building<Config>, trace: Trace, source: SourceInputs): void;
  /** [vocab, hidden] */
  head(model: Building<Config>, trace: Trace): Tensor;
}
