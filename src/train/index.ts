// Rows and a model with tensors that train go in; a run comes out, which tells events and leaves an adapter. Read options.ts, step.ts, run.ts.

export { checkpointsOf, findCheckpoint } from "./checkpoint.js";
export type { Answer, Controls, Finding, MemoryBytes, TrainEvent, TrainEventKind } from "./events.js";
export { readEvents } from "./log.js";
export {
  type OpenSampler,
  type OptionSpec,
  type ResolvedOptions,
  type RowSource,
  resolveOptions,
  type Sampler,
  type SamplerFactory,
  type TrainOptions,
  trainOptions,
} from "./options.js";
export { Run, type TrainResult, train } from "./run.js";
export { rateFactor, type Schedule, type SchedulerName, schedulerNames, warmupUpdates } from "./schedule.js";
