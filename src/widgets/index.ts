// What a notebook shows. A run's events come in; one output comes out: live with controls, a picture, a sentence.
// Read state.ts (events to state), then mime.ts (state to output), then show.ts (over time) and channel.ts (to the browser).

export { Channel, channelOf } from "./channel.js";
export * from "./format.js";
export * from "./host.js";
export * from "./hosts.js";
export * from "./mime.js";
export { MemoryPlan, type PlanAlternative, type PlanFacts } from "./plan.js";
export { rasterize } from "./png.js";
export type { RunLike } from "./run.js";
export * from "./series.js";
export { type ShowOptions, show } from "./show.js";
export * from "./snapshot.js";
export * from "./state.js";
export { drawRun, type Picture } from "./svg.js";
export * from "./table.js";
export { progressLine } from "./terminal.js";
export * from "./text.js";
export * from "./wire.js";
