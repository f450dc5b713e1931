// What the widgets need of a training run: its events and its controls. train/ provides it; nothing else is looked at.

import type { Controls, TrainEvent } from "../train/events.js";

export interface RunLike extends AsyncIterable<TrainEvent> {
  readonly id: string;
  /** All events so far, oldest first. Grows in place. */
  readonly events: readonly TrainEvent[];
  /** Settles when the run has stopped; rejects when it failed. */
  readonly finished: Promise<unknown>;
  set(controls: Controls): unknown;
  pause(): unknown;
  resume(): unknown;
  stop(): unknown;
  saveNow(): unknown;
  sample(prompts?: readonly string[]): unknown;
}
