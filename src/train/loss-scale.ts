// Dynamic loss scaling for f16: what the loss is multiplied with, and how that changes. Pure; loop.ts asks it after every update.
//
// Gradients in f16 vanish below 2^-24 and overflow above 65504. The loss is multiplied by a scale before the backward and its gradients
// are divided by it again in f32, before they are clipped. An update whose gradients overflowed changes nothing and lowers the scale; a long
// row of others raises it (Micikevicius et al. 2018, section 3.2). The numbers and their names are those of torch.amp.GradScaler.
//
// A skipped update counts neither as a step of the optimizer nor for the schedule, as in PyTorch where the scheduler is not stepped then.
// Unlike there, its rows are not passed over: the same update is tried again, so a run makes every update it planned.

import type { ResolvedOptions } from "./options.js";

/** Kept in checkpoints. */
export interface LossScale {
  readonly scale: number;
  /** Updates made since the scale last changed. */
  readonly growthTracker: number;
}

export type LossScaleOptions = Pick<
  ResolvedOptions,
  "lossScaleGrowthFactor" | "lossScaleBackoffFactor" | "lossScaleGrowthInterval"
>;

/** What a run in f16 begins with. */
export function firstLossScale({ lossScaleInit }: Pick<ResolvedOptions, "lossScaleInit">): LossScale {
  return { scale: Math.fround(lossScaleInit), growthTracker: 0 };
}

/**
 * The scale after an update. Rounded to f32, where PyTorch keeps it; a scale that would become infinite stays as it is.
 *
 * @param overflowed - Whether a gradient was not finite, so that the update was skipped.
 * @see https://docs.pytorch.org/docs/stable/amp.html#torch.amp.GradScaler.update
 */
export function nextLossScale(now: LossScale, overflowed: boolean, options: LossScaleOptions): LossScale {
  const { lossScaleGrowthFactor, lossScaleBackoffFactor, lossScaleGrowthInterval } = options;
  if (overflowed) return { scale: Math.fround(now.scale * lossScaleBackoffFactor), growthTracker: 0 };
  if (now.growthTracker + 1 < lossScaleGrowthInterval) return { ...now, growthTracker: now.growthTracker + 1 };
  const grown = Math.fround(now.scale * lossScaleGrowthFactor);
  return { scale: Number.isFinite(grown) ? grown : now.scale, growthTracker: 0 };
}

/**
 * What scales the gradients of an update, and what takes scale and tokens out of them again. Without a scale they are those of the summed
 * loss; with one, those of the mean loss times the scale, as in PyTorch, so that a scale means the same however many tokens there are.
 */
export function gradientUniforms(
  trainedTokens: number,
  scale: number | undefined,
): { readonly lossScale: number; readonly gradScale: number } {
  const lossScale = scale === undefined ? 1 : scale / trainedTokens;
  return { lossScale, gradScale: 1 / (trainedTokens * lossScale) };
}

/** A tensor whose gradient is not finite. */
export interface Overflow {
  readonly tensor: string;
  readonly value: "inf" | "NaN";
}

/** The tensors whose gradient's norm is not finite. */
export function overflowsOf(names: readonly string[], norms: readonly number[]): readonly Overflow[] {
  return norms.flatMap((norm, i) =>
    Number.isFinite(norm) ? [] : [{ tensor: names[i] as string, value: Number.isNaN(norm) ? "NaN" : "inf" } as const],
  );
}

/** `the gradients of 14 tensors overflow, such as "x" (inf)` */
export function describeOverflows(overflows: readonly Overflow[]): string {
  const [first] = overflows;
  // Each norm may be finite and their sum not.
  if (!first) return "the global norm of the gradients overflows";
  const named = `"${first.tensor}" (${first.value})`;
  return overflows.length === 1
    ? `the gradient of ${named} overflows`
    : `the gradients of ${overflows.length} tensors overflow, such as ${named}`;
}
