// The health certificate: what a run is asked before its first update. The questions are in health.ts; loop.ts tells the answers.

import type { Model } from "../model/index.js";
import type { Batch } from "../tokens/index.js";
import type { Dataset } from "./dataset.js";
import type { Finding } from "./events.js";
import type { Feed } from "./feed.js";
import {
  checkData,
  checkGradients,
  checkLossScale,
  checkStart,
  checkWarmup,
  checkWeights,
  tellBudget,
} from "./health.js";
import type { LossScaler } from "./loss-scaler.js";
import type { ResolvedOptions, TrainOptions } from "./options.js";
import { warmupUpdates } from "./schedule.js";
import type { Stepper } from "./step.js";

/** A run about to begin, or to go on. */
export interface Candidate {
  readonly model: Model;
  readonly given: TrainOptions;
  readonly options: ResolvedOptions;
  readonly stepper: Stepper;
  readonly feed: Feed;
  readonly data: Dataset;
  /** In f16 only. */
  readonly scaler: LossScaler | undefined;
  /** Updates already made. */
  readonly done: number;
  /** A run that goes on from a checkpoint need not equal its base. */
  readonly resumed: boolean;
  readonly signal: AbortSignal;
  /** Says why a pass through the model was not finite. */
  fail(batches: readonly Batch[], result: { readonly loss: number; readonly gradientNorm: number }): Promise<never>;
}

/** One forward of the tuned model, one of its base, one backward, all on the first batch; nothing is changed. */
export async function certify(run: Candidate): Promise<readonly Finding[]> {
  const { model, given, options, stepper, feed, scaler, signal } = run;
  const findings: Finding[] = [
    ...(await checkData(run.data, model.tokenizer, options)),
    checkWarmup(warmupUpdates(options, feed.updates), feed.updates),
    checkWeights(model.weights),
  ];
  if (options.memoryBudget !== undefined) findings.push(tellBudget(options.memoryBudget, feed, stepper.plan));
  // Sound weights first: with others the passes through the model would fail, and could not say why.
  if (model.weights.faults.length > 0) return findings;
  const { first } = feed;
  const tuned = await stepper.loss([first], "tuned", signal);
  if (!Number.isFinite(tuned.sum)) await run.fail([first], { loss: tuned.sum, gradientNorm: 0 });
  if (!run.resumed) {
    const base = await stepper.loss([first], "base", signal);
    findings.push(checkStart(tuned.sum / tuned.count, base.sum / base.count));
  }
  const uniforms = { step: run.done + 1, seed: options.seed };
  const { norms, scale } = (await scaler?.tryOut(stepper, first, uniforms, signal)) ?? {
    norms: await stepper.gradientNorms(first, uniforms, { signal }),
    scale: undefined,
  };
  const names = model.trained?.list.map(({ name }) => name) ?? [];
  findings.push(checkLossScale(given, model.dtype, scaler?.scale, scale), checkGradients(names, norms));
  return findings;
}

/** @throws RangeError when one of the findings refuses the run. */
export function refuseUnsound(findings: readonly Finding[]): void {
  const refused = findings.find(({ verdict }) => verdict === "refused");
  if (refused) throw new RangeError(`train: refused before the first update: ${refused.check}: ${refused.message}`);
}
