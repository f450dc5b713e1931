// A Trace records what a model's code does to symbolic tensors, once per shape. ops.ts writes into it, gradients.ts appends the
// backward, plan.ts turns it into a Program.

import type { DType, Shape } from "../engine/dtype.js";
import { type OpName, ops } from "../engine/ops.js";
import { type Place, ShapeError, type Tensor } from "./tensor.js";

/** One op on its operands, in the order of the op's spec; undefined where an optional one is absent. */
export interface Node {
  readonly op: OpName;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly (Tensor | undefined)[];
  readonly attrs: readonly number[];
}

/** A named stretch of the forward, such as a layer. */
export interface Scope {
  readonly name: string;
  /** Position of its first node, and of the first one after it. */
  readonly start: number;
  readonly end: number;
  /** Its values are not kept for the backward but computed again there. */
  readonly recompute: boolean;
}

export interface TraceOptions {
  /** Dtype of the activations and their gradients. @default "f32" */
  readonly activations?: DType;
  /** Whether dropout applies. @default false */
  readonly training?: boolean;
  /** Which scopes to compute again in the backward instead of keeping their values. @default none */
  readonly recompute?: (scope: string) => boolean;
}

export class Trace {
  readonly activations: DType;
  readonly training: boolean;
  readonly nodes: Node[] = [];
  readonly scopes: Scope[] = [];
  readonly #recompute: (scope: string) => boolean;
  readonly #tensors = new Map<string, Tensor>();
  #count = 0;

  constructor({ activations = "f32", training = false, recompute = () => false }: TraceOptions = {}) {
    this.activations = activations;
    this.#recompute = recompute;
    this.training = training;
  }

  get tensors(): IterableIterator<Tensor> {
    return this.#tensors.values();
  }

  /** Written by the host before each run. */
  input(name: string, dtype: DType, shape: Shape): Tensor {
    return this.#add({ name, place: "input", dtype, shape, learns: false });
  }

  /** A tensor of the model. The same name twice is the same tensor, so tied weights are one. */
  parameter(
    name: string,
    dtype: DType,
    shape: Shape,
    { trained = false }: { readonly trained?: boolean } = {},
  ): Tensor {
    return this.#once({
      name,
      place: trained ? "trained" : "frozen",
      dtype: trained ? "f32" : dtype,
      shape,
      learns: trained,
    });
  }

  /** Kept on the device from one run to the next, such as a layer's keys. */
  state(name: string, dtype: DType, shape: Shape): Tensor {
    return this.#once({ name, place: "state", dtype, shape, learns: false });
  }

  /** The sum of a trained tensor's gradients, which the backward adds to. */
  gradient(trained: Tensor): Tensor {
    return this.#once({
      name: gradientName(trained.name),
      place: "gradient",
      dtype: "f32",
      shape: trained.shape,
      learns: false,
    });
  }

  /** A result of an op. */
  value(
    what: string,
    dtype: DType,
    shape: Shape,
    { learns = false, place = "value" }: { readonly learns?: boolean; readonly place?: Place } = {},
  ): Tensor {
    return this.#add({ name: `${what}#${this.#count}`, place, dtype, shape, learns });
  }

  /** Everything `build` records belongs to a scope of this name. Scopes may lie within one another. */
  scope<T>(name: string, build: () => T): T {
    const start = this.nodes.length;
    const result = build();
    this.scopes.push({ name, start, end: this.nodes.length, recompute: this.#recompute(name) });
    return result;
  }

  /** Keep a value where the host can read it after the run, under this name. */
  output(name: string, tensor: Tensor): void {
    const kept = this.#owned(tensor);
    if (kept.place !== "value") {
      throw new ShapeError(`output "${name}": "${tensor.name}" is ${tensor.place}, expected a value`);
    }
    if (this.#tensors.has(name)) throw new ShapeError(`output "${name}": the trace already has a tensor of that name`);
    this.#tensors.delete(kept.name);
    Object.assign(kept, { name, place: "output" });
    this.#tensors.set(name, kept);
  }

  record(
    op: OpName,
    inputs: readonly (Tensor | undefined)[],
    outputs: readonly (Tensor | undefined)[],
    attrs: readonly number[],
  ): Node {
    const spec = ops[op];
    for (const tensor of [...inputs, ...outputs]) if (tensor) this.#owned(tensor);
    if (
      inputs.length !== spec.inputs.length ||
      outputs.length !== spec.outputs.length ||
      attrs.length !== spec.attrs.length
    ) {
      throw new ShapeError(`${op}: got ${inputs.length} inputs, ${outputs.length} outputs, ${attrs.length} attributes`);
    }
    const node: Node = { op, inputs, outputs, attrs };
    this.nodes.push(node);
    return node;
  }

  #owned(tensor: Tensor): Tensor {
    if (tensor.trace !== this) throw new ShapeError(`"${tensor.name}" belongs to another trace`);
    return tensor;
  }

  #once(parts: Omit<Tensor, "trace" | "id">): Tensor {
    const known = this.#tensors.get(parts.name);
    if (!known) return this.#add(parts);
    if (known.place !== parts.place || known.dtype !== parts.dtype || known.shape.join() !== parts.shape.join()) {
      throw new ShapeError(
        `"${parts.name}" was ${known.place} ${known.dtype} [${known.shape.join(", ")}], now asked for as ${parts.place} ${parts.dtype} [${parts.shape.join(", ")}]`,
      );
    }
    return known;
  }

  #add(parts: Omit<Tensor, "trace" | "id">): Tensor {
    if (this.#tensors.has(parts.name)) throw new ShapeError(`the trace already has a tensor named "${parts.name}"`);
    if (parts.shape.some((size) => !Number.isInteger(size) || size < 1)) {
      throw new ShapeError(`"${parts.name}": expected sizes of at least 1, got [${parts.shape.join(", ")}]`);
    }
    const tensor: Tensor = { trace: this, id: this.#count++, ...parts };
    this.#tensors.set(tensor.name, tensor);
    return tensor;
  }
}

/** Name of a trained tensor's gradient among the buffers of a Program. */
export function gradientName(name: string): string {
  return `${name}.grad`;
}
