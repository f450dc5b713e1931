// What a view of a run needs to know and may ask, whoever provides it: connection.ts in JupyterLab, a script in a test page.

import type { Request, RunState } from "tunebook/widgets/browser";

/**
 * How the state shown is known.
 *
 *     saved       from the notebook file; the run had ended, nothing is missing
 *     connecting  the kernel has been asked and has not answered yet
 *     live        the kernel sends what is new
 *     gone        nobody answers for this run; the last known state is shown
 */
export type Line = "saved" | "connecting" | "live" | "gone";

export interface RunModel {
  readonly state: RunState;
  readonly line: Line;
  /** Why a request was refused, most recent; empty when none was. */
  readonly refusal: string;
  /** Ask the kernel; answers come as new states or as a refusal. */
  ask(request: Request): void;
  /** Called after every change until the returned function is called. */
  onChange(listener: () => void): () => void;
}
