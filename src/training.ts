// `train` as the package offers it: it can answer samples, and ends with the notebook cell it was started in.
// Here, above the folders, because train/ knows neither generate/ nor widgets/.

import { comparisonSampler } from "./generate/index.js";
import type { Model } from "./model/index.js";
import { type Run, type TrainOptions, train as trainAlone } from "./train/index.js";
import { type Host, hostKey } from "./widgets/host.js";

/**
 * Fine-tune what trains of a model. See train/run.ts; `sampler` is there by default, and interrupting the running notebook cell
 * aborts the run as `signal` does.
 */
export function train(model: Model, options: TrainOptions): Run {
  const host = (globalThis as { [hostKey]?: Host })[hostKey];
  const signals = [options.signal, host?.cellSignal()].flatMap((signal) => signal ?? []);
  return trainAlone(model, {
    ...options,
    sampler: options.sampler ?? comparisonSampler,
    signal: signals.length > 0 ? AbortSignal.any(signals) : undefined,
  });
}
