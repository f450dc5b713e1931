// The tensors that train: their names, shapes and values, resident on the device. Filled by adapter/; read by train/ and by every forward.

import type { Arena, Device } from "../engine/device.js";
import type { Shape } from "../engine/dtype.js";
import { sizeOf } from "../engine/dtype.js";
import { type Layout, layOut, type Placements } from "../graph/index.js";

export interface TrainedTensor {
  readonly name: string;
  readonly shape: Shape;
  /** Whether weight decay applies: to matrices, not to norms and biases. */
  readonly decay: boolean;
}

/** A product of two trained matrices that is added to a frozen one while the model runs: W + scale B A. */
export interface WeightUpdate {
  /** Name of W, such as "model.layers.0.self_attn.q_proj.weight". */
  readonly weight: string;
  readonly a: string;
  readonly b: string;
  readonly scale: number;
}

export interface TrainedOptions {
  /** Frozen matrices that are updated, for whoever puts the updates into them. @default none */
  readonly updates?: readonly WeightUpdate[];
  /** Writes what was trained in its own file format into a folder, whole or not at all. */
  readonly save: (trained: TrainedTensors, folder: string) => Promise<void>;
}

/**
 * f32 tensors in one arena "trained". Moments and gradients are not here: they live as long as a run.
 */
export class TrainedTensors {
  private constructor(
    readonly list: readonly TrainedTensor[],
    readonly device: Device,
    readonly arena: Arena,
    readonly placements: Placements,
    readonly bytes: number,
    readonly options: TrainedOptions,
  ) {}

  /** Allocate and fill. `values` gives each tensor's start, row-major f32. */
  static async create(
    device: Device,
    list: readonly TrainedTensor[],
    values: (tensor: TrainedTensor) => Float32Array | Promise<Float32Array>,
    options: TrainedOptions,
  ): Promise<TrainedTensors> {
    const { placements, bytes } = trainedLayout(list);
    const arena = device.allocate("trained", bytes);
    const trained = new TrainedTensors(list, device, arena, placements, bytes, options);
    if (device.plansOnly) return trained;
    try {
      for (const tensor of list) await trained.write(tensor.name, await values(tensor));
    } catch (error) {
      arena.free();
      throw error;
    }
    return trained;
  }

  get parameterCount(): number {
    return this.list.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  }

  find(name: string): TrainedTensor | undefined {
    return this.placements.has(name) ? this.list.find((tensor) => tensor.name === name) : undefined;
  }

  /** The values now, row-major. @throws RangeError when no such tensor trains. */
  async read(name: string): Promise<Float32Array> {
    const { offset, shape } = this.#place(name);
    const bytes = await this.arena.read(offset, sizeOf(shape) * 4);
    return new Float32Array(bytes.slice().buffer);
  }

  /** @throws RangeError when no such tensor trains, or the number of values is not its size. */
  async write(name: string, values: Float32Array): Promise<void> {
    const { offset, shape } = this.#place(name);
    if (values.length !== sizeOf(shape)) {
      throw new RangeError(`${name}: expected ${sizeOf(shape)} values for [${shape.join(", ")}], got ${values.length}`);
    }
    await this.arena.write(offset, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  /** Write what was trained into a folder, in the format of whoever chose the tensors. */
  save(folder: string): Promise<void> {
    return this.options.save(this, folder);
  }

  dispose(): void {
    this.arena.free();
  }

  #place(name: string) {
    const place = this.placements.get(name);
    if (!place) throw new RangeError(`no trained tensor is named "${name}"`);
    return place;
  }
}

/** Places and bytes of trained tensors, before anything is allocated. */
export function trainedLayout(list: readonly TrainedTensor[]): Layout {
  return layOut(
    "trained",
    list.map(({ name, shape }) => ({ name, shape, dtype: "f32" })),
  );
}
