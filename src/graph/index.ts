// The engine, upper half: model code goes in as functions of symbolic tensors, a Program with an exact memory plan comes out.

export { differentiate, differentiating } from "./gradients.js";
export * from "./ops.js";
export {
  type Layout,
  layOut,
  type Placement,
  type Placements,
  type PlannedProgram,
  type PlanOptions,
  planning,
  planProgram,
} from "./plan.js";
export { bindShape, type Place, ShapeError, type Tensor } from "./tensor.js";
export { gradientName, type Node, type Scope, Trace, type TraceOptions } from "./trace.js";
export { atOnce, inTurns, type Work } from "./turns.js";
