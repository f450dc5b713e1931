// The scale of a run's loss while it trains in f16: tried out before the first update, lowered when one overflows. The arithmetic is
// in loss-scale.ts; loop.ts owns the one there is.

import type { Batch } from "../tokens/index.js";
import type { TrainEvent } from "./events.js";
import { describeOverflows, firstLossScale, type LossScale, nextLossScale, overflowsOf } from "./loss-scale.js";
import type { ResolvedOptions } from "./options.js";
import type { Stepper } from "./step.js";

type Skipped = Omit<Extract<TrainEvent, { kind: "skipped" }>, "update" | "seconds">;

export class LossScaler {
  #now: LossScale;

  /** @param names - What trains, in the order of its norms. */
  constructor(
    readonly options: ResolvedOptions,
    readonly names: readonly string[],
  ) {
    this.#now = firstLossScale(options);
  }

  get state(): LossScale {
    return this.#now;
  }

  get scale(): number {
    return this.#now.scale;
  }

  /** Whether a lower one is not to be tried. */
  get exhausted(): boolean {
    return this.scale < this.options.lossScaleFloor;
  }

  /** As a checkpoint has it; without one, of a run that was not in f16, it stays. */
  restore(state: LossScale | undefined): void {
    this.#now = state ?? this.#now;
  }

  /** After an update that was made. */
  made(): void {
    this.#now = nextLossScale(this.#now, false, this.options);
  }

  /** Lower it after an update whose gradients, which still lie there, overflowed. @returns what to tell of it */
  async skip(stepper: Stepper, step: number): Promise<Skipped> {
    const scaleBefore = this.scale;
    const tensors = overflowsOf(this.names, await stepper.norms());
    this.#now = nextLossScale(this.#now, true, this.options);
    const what = `${describeOverflows(tensors)} in f16 at a loss scale of ${scaleBefore}`;
    const next = this.exhausted
      ? `, and \`lossScaleFloor\` is ${this.options.lossScaleFloor}`
      : `; tried again at ${this.scale}`;
    return { kind: "skipped", reason: `${what}${next}`, step, scaleBefore, scaleAfter: this.scale, tensors };
  }

  /** Norms of the gradients of a batch at the first scale, from this one down, at which they are finite, or at the lowest. Changes nothing. */
  async tryOut(
    stepper: Stepper,
    batch: Batch,
    uniforms: { readonly step: number; readonly seed: number },
    signal: AbortSignal,
  ): Promise<{ readonly norms: readonly number[]; readonly scale: number }> {
    for (let at = this.#now; ; ) {
      const norms = await stepper.gradientNorms(batch, uniforms, { scale: at.scale, signal });
      const lower = nextLossScale(at, true, this.options);
      if (norms.every(Number.isFinite) || lower.scale < this.options.lossScaleFloor) return { norms, scale: at.scale };
      at = lower;
    }
  }
}
