// The learning rate of each update. Equal to transformers' get_scheduler, which test/golden/schedule.json holds it to.

export const schedulerNames = ["linear", "cosine", "constant"] as const;
export type SchedulerName = (typeof schedulerNames)[number];

export interface Schedule {
  readonly scheduler: SchedulerName;
  /** Updates of the whole run. */
  readonly updates: number;
  /** Updates over which the rate rises from 0. */
  readonly warmup: number;
}

/**
 * Part of the highest learning rate that an update gets, from 0 to 1.
 *
 *     warm-up     done / warmup
 *     linear      1 - progress              cosine   (1 + cos(pi * progress)) / 2          constant   1
 *     progress = (done - warmup) / (updates - warmup)
 *
 * @param done - Updates made before it: 0 for the first, which a warm-up gives a rate of 0.
 */
export function rateFactor({ scheduler, updates, warmup }: Schedule, done: number): number {
  if (done < warmup) return done / warmup;
  if (scheduler === "constant") return 1;
  const progress = (done - warmup) / Math.max(1, updates - warmup);
  return Math.max(0, scheduler === "linear" ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2);
}

/** Updates of warm-up: `warmupSteps`, or where that is 0 the part `warmupRatio` of all updates, rounded up. */
export function warmupUpdates(
  { warmupSteps, warmupRatio }: { readonly warmupSteps: number; readonly warmupRatio: number },
  updates: number,
): number {
  return warmupSteps > 0 ? warmupSteps : Math.ceil(updates * warmupRatio);
}
