// A model that is ready to run: config, tokenizer, device, frozen weights, and what trains of it. Made by load.ts; adapter/ hangs trained
// tensors on it; train/ and generate/ trace its forward.

import type { Device } from "../engine/device.js";
import { linear, type Placements, type Tensor, type Trace } from "../graph/index.js";
import type { Form, Tokenizer } from "../tokens/index.js";
import type { ModelConfig } from "./config.js";
import { familyOf } from "./families/index.js";
import type { ForwardInputs, SourceInputs } from "./inputs.js";
import type { Quantization } from "./quantize.js";
import type { ResidentWeights } from "./resident.js";
import type { TrainedTensors } from "./trained.js";

/** Dtypes that a model can be loaded in. */
export const computeDTypes = ["f32", "bf16", "f16"] as const;

/** Dtype of the activations, and of frozen weights in memory. */
export type ComputeDType = (typeof computeDTypes)[number];

/** A matrix of the model by its checkpoint name without ".weight", such as "model.layers.0.self_attn.q_proj". */
export interface LinearSite {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
}

/** Computes one linear layer; lets an adapter take part without the family knowing. */
export type LinearHook = (trace: Trace, site: LinearSite, x: Tensor, w: Tensor, bias: Tensor | undefined) => Tensor;

export interface ModelParts {
  /** For people: the last part of the folder's name. */
  readonly name: string;
  readonly folder: string;
  readonly config: ModelConfig;
  /** What config.json would say, where the folder has none: of a checkpoint that states its own sizes. */
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  readonly dtype: ComputeDType;
  /** What frozen linear layers are held in, where that is not `dtype`. */
  readonly quantize?: Quantization | undefined;
  /** Longest text, in tokens, that positions were prepared for. */
  readonly contextTokens: number;
  readonly weights: ResidentWeights;
}

export class Model {
  readonly name: string;
  readonly folder: string;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  readonly dtype: ComputeDType;
  readonly quantize: Quantization | undefined;
  readonly contextTokens: number;
  readonly weights: ResidentWeights;

  constructor(
    private readonly parts: ModelParts,
    /** What trains; undefined for a bare base. */
    readonly trained?: TrainedTensors | undefined,
    /** The same model without what trains. Itself for a bare base. */
    base?: Model | undefined,
    private readonly hook?: LinearHook | undefined,
  ) {
    ({
      name: this.name,
      folder: this.folder,
      config: this.config,
      tokenizer: this.tokenizer,
      device: this.device,
      dtype: this.dtype,
      quantize: this.quantize,
      contextTokens: this.contextTokens,
      weights: this.weights,
    } = parts);
    this.base = base ?? this;
  }

  readonly base: Model;

  /** What config.json would say, where the folder has none. */
  get fields(): Readonly<Record<string, unknown>> | undefined {
    return this.parts.fields;
  }

  /** This model with tensors that train, sharing weights, tokenizer and device; this one stays as it is. */
  withTrained(trained: TrainedTensors, hook?: LinearHook): Model {
    return new Model(this.parts, trained, this, hook);
  }

  /** Places of frozen and trained tensors, for planProgram. */
  get placements(): Placements {
    return new Map([...this.weights.placements, ...(this.trained?.placements ?? [])]);
  }

  /** How it lays out what is asked and what is answered. */
  get form(): Form {
    return familyOf(this.config).form(this.config);
  }

  /** Linear layers that could carry an adapter, in order of use. */
  get linears(): readonly LinearSite[] {
    return familyOf(this.config).linears(this.config);
  }

  /** A tensor by its checkpoint name, as what trains has it, else as the frozen weights have it. */
  parameter(trace: Trace, name: string): Tensor {
    const trains = this.trained?.find(name);
    if (trains) return trace.parameter(name, "f32", trains.shape, { trained: true });
    const spec = this.weights.specs.get(name);
    if (!spec) throw new RangeError(`${this.name} has no tensor named "${name}"`);
    return trace.parameter(name, spec.dtype, spec.shape);
  }

  linear(trace: Trace, site: LinearSite, x: Tensor): Tensor {
    const w = this.parameter(trace, `${site.name}.weight`);
    const biasName = `${site.name}.bias`;
    const bias = this.weights.specs.has(biasName) ? this.parameter(trace, biasName) : undefined;
    return (this.hook ?? plainLinear)(trace, site, x, w, bias);
  }

  /** Hidden states after the final norm, [T, hidden]. */
  hidden(trace: Trace, inputs: ForwardInputs): Tensor {
    return familyOf(this.config).hidden(this, trace, inputs);
  }

  /** T5: read a source and keep what decoding needs of it. */
  encode(trace: Trace, source: SourceInputs): void {
    const family = familyOf(this.config);
    if (!family.encode) throw new RangeError(`${this.name} has no encoder`);
    family.encode(this, trace, source);
  }

  /** The matrix that turns hidden states into scores, [vocab, hidden]. */
  head(trace: Trace): Tensor {
    return familyOf(this.config).head(this, trace);
  }

  /** Frees what trains; the base's weights too when this is a base. */
  dispose(): void {
    if (this.trained) this.trained.dispose();
    else this.weights.arena.free();
  }
}

const plainLinear: LinearHook = (_trace, _site, x, w, bias) => linear(x, w, { bias });
