// From which op to which op a value is alive. Used by plan.ts.

import type { Tensor } from "./tensor.js";
import type { Trace } from "./trace.js";

export interface Lifetime {
  /** Position of the op that first touches it. */
  readonly first: number;
  readonly last: number;
}

/** Lifetimes of the values of a trace, that is of all that need not outlive the run. */
export function lifetimes(trace: Trace): Map<Tensor, Lifetime> {
  const lives = new Map<Tensor, Lifetime>();
  trace.nodes.forEach((node, at) => {
    for (const tensor of [...node.inputs, ...node.outputs]) {
      if (tensor?.place !== "value") continue;
      lives.set(tensor, { first: lives.get(tensor)?.first ?? at, last: at });
    }
  });
  return lives;
}
