// One update, top to bottom. Next to read: run.ts, update after update.

import { setImmediate } from "node:timers/promises";
import {
  type Arena,
  type Category,
  type Executable,
  neutralUniforms,
  type Program,
  type Uniforms,
} from "../engine/index.js";
import type { PlannedProgram } from "../graph/index.js";
import type { Model, StoredTensor, TrainedTensors } from "../model/index.js";
import type { Batch } from "../tokens/index.js";
import type { Tensors } from "./checkpoint.js";
import { gradientUniforms } from "./loss-scale.js";
import { allocateArenas, type RunPlan } from "./plan.js";
import { bucketKey, momentNames, squaresName, writeBatch } from "./programs.js";

export interface UpdateResult {
  /** Mean nats per trained token; NaN or infinite when something went wrong, and then nothing was changed. */
  readonly loss: number;
  /** Global norm of the gradients before clipping. */
  readonly gradientNorm: number;
  readonly tokens: number;
  readonly trainedTokens: number;
}

/** Sum of nats over trained tokens, and their number. */
export interface LossSum {
  readonly sum: number;
  readonly count: number;
}

type Arenas = Partial<Record<Category, Arena>>;

/** The memory of a run and the Programs on it. */
export class Stepper {
  readonly #executables = new Map<Program, Promise<Executable>>();
  readonly #trained: TrainedTensors;

  private constructor(
    readonly model: Model,
    readonly plan: RunPlan,
    readonly arenas: Arenas & { readonly io: Arena; readonly gradients: Arena; readonly optimizer: Arena },
    readonly free: () => void,
  ) {
    this.#trained = model.trained as TrainedTensors;
  }

  /** Allocates what was planned, no more. @throws EngineError when the memory is not there. */
  static open(model: Model, plan: RunPlan): Stepper {
    const wanted = ["gradients", "optimizer", "activations", "workspace", "io"] as const;
    const { arenas, free } = allocateArenas(model.device, plan.bytes, wanted);
    return new Stepper(
      model,
      plan,
      { ...arenas, weights: model.weights.arena, trained: (model.trained as TrainedTensors).arena },
      free,
    );
  }

  /**
   * Gather the gradients of some batches and change the trained tensors once. Loss and gradients are divided by the trained tokens of
   * all batches together, so how rows are cut into batches changes nothing.
   *
   * @param uniforms - learningRate, step (from 1), clipNorm and seed.
   * @param scale - Of the loss, in f16. When gradients overflow with it, gradientNorm is not finite and nothing was changed.
   * @param signal - Ends it before the trained tensors are changed, never in between.
   */
  async update(
    batches: readonly Batch[],
    uniforms: Partial<Uniforms>,
    { scale, signal }: { readonly scale?: number | undefined; readonly signal?: AbortSignal } = {},
  ): Promise<UpdateResult> {
    const tokens = batches.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
    const trainedTokens = batches.reduce((sum, { trainedCount }) => sum + trainedCount, 0);
    const common = { ...neutralUniforms, ...uniforms, ...gradientUniforms(trainedTokens, scale) };

    await this.#run(this.plan.clear, common);
    await this.#each(batches, this.plan.accumulate, common, signal);
    const loss = (await this.#totals()).sum / trainedTokens;
    if (!Number.isFinite(loss)) return { loss, gradientNorm: Number.NaN, tokens, trainedTokens };
    await this.#run(this.plan.update, common);
    const [squares] = await this.#readIo("squares", 1);
    return { loss, gradientNorm: Math.sqrt(squares as number) * common.gradScale, tokens, trainedTokens };
  }

  /** Loss of some batches without gradients or dropout, of the tuned model or of its base. */
  async loss(batches: Iterable<Batch>, of: "tuned" | "base" = "tuned", signal?: AbortSignal): Promise<LossSum> {
    let [sum, count] = [0, 0];
    for (const batch of batches) {
      await this.arenas.io.write(this.#ioOffset("totals"), new Uint8Array(8));
      await this.#each([batch], this.plan.loss[of], neutralUniforms, signal);
      const part = await this.#totals();
      sum += part.sum;
      count += part.count;
    }
    return { sum, count };
  }

  /** Gradients of one batch, made and thrown away: the norm of each as it stands there, in the order of what trains. */
  async gradientNorms(
    batch: Batch,
    uniforms: Partial<Uniforms>,
    { scale, signal }: { readonly scale?: number | undefined; readonly signal?: AbortSignal } = {},
  ): Promise<readonly number[]> {
    const common = { ...neutralUniforms, ...uniforms, ...gradientUniforms(batch.trainedCount, scale) };
    await this.#run(this.plan.clear, common);
    await this.#each([batch], this.plan.accumulate, common, signal);
    return this.norms();
  }

  /** Norm of each tensor's gradient as it is now. */
  async norms(): Promise<readonly number[]> {
    await this.#run(this.plan.squares, neutralUniforms);
    const norms: number[] = [];
    for (const { name } of this.#trained.list) {
      const [squares] = await this.#readIo(squaresName(name), 1);
      norms.push(Math.sqrt(squares as number));
    }
    return norms;
  }

  /** Trained tensors and moments, as a checkpoint keeps them. */
  async state(): Promise<{ readonly trained: Tensors; readonly moments: Tensors }> {
    const trained = new Map<string, StoredTensor>();
    const moments = new Map<string, StoredTensor>();
    for (const { name, shape } of this.#trained.list) {
      trained.set(name, await this.#stored(this.#trained.arena, this.#trained.placements.get(name), shape));
      for (const moment of Object.values(momentNames(name))) {
        moments.set(
          moment,
          await this.#stored(this.arenas.optimizer, this.plan.layout.optimizer.placements.get(moment), shape),
        );
      }
    }
    return { trained, moments };
  }

  async restore({ trained, moments }: { readonly trained: Tensors; readonly moments: Tensors }): Promise<void> {
    for (const { name } of this.#trained.list) {
      await this.#put(this.#trained.arena, this.#trained.placements.get(name), trained.get(name));
      for (const moment of Object.values(momentNames(name))) {
        await this.#put(this.arenas.optimizer, this.plan.layout.optimizer.placements.get(moment), moments.get(moment));
      }
    }
  }

  async dispose(): Promise<void> {
    for (const executable of await Promise.allSettled(this.#executables.values())) {
      if (executable.status === "fulfilled") executable.value.dispose();
    }
    this.free();
  }

  /** Run the Program of each batch's shape on it. An abort leaves through here, once nothing runs any more. */
  async #each(
    batches: readonly Batch[],
    programs: ReadonlyMap<string, PlannedProgram>,
    uniforms: Uniforms,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (const [micro, batch] of batches.entries()) {
      signal?.throwIfAborted();
      const planned = programs.get(bucketKey(batch));
      if (!planned) throw new RangeError(`train: a batch of ${bucketKey(batch)} tokens was not planned`);
      await writeBatch(this.arenas.io, planned, batch);
      await this.#run(planned.program, { ...uniforms, micro }, signal);
    }
  }

  async #run(program: Program, uniforms: Uniforms, signal?: AbortSignal): Promise<void> {
    let executable = this.#executables.get(program);
    if (!executable) {
      executable = this.model.device.compile(program, this.arenas);
      this.#executables.set(program, executable);
    }
    await (await executable).run(uniforms, signal ? { signal } : {});
  }

  async #totals(): Promise<LossSum> {
    const [sum, count] = await this.#readIo("totals", 2);
    return { sum: sum as number, count: count as number };
  }

  async #readIo(name: string, count: number): Promise<Float32Array> {
    return new Float32Array((await this.arenas.io.read(this.#ioOffset(name), count * 4)).slice().buffer);
  }

  #ioOffset(name: string): number {
    return (this.plan.layout.io.placements.get(name) as { readonly offset: number }).offset;
  }

  async #stored(
    arena: Arena,
    place: { readonly offset: number } | undefined,
    shape: readonly number[],
  ): Promise<StoredTensor> {
    const bytes = shape.reduce((product, size) => product * size, 4);
    const data = await arena.read((place as { readonly offset: number }).offset, bytes);
    await setImmediate(); // a turn for others between two tensors
    return { dtype: "F32", shape, data };
  }

  async #put(
    arena: Arena,
    place: { readonly offset: number } | undefined,
    tensor: StoredTensor | undefined,
  ): Promise<void> {
    if (place && tensor) await arena.write(place.offset, tensor.data);
  }
}
