// A run that does what the test says: events are pushed by hand, controls are written down. Several readers, each from the first.

import type { Controls, MemoryBytes, TrainEvent } from "../../src/train/events.js";
import type { RunLike } from "../../src/widgets/run.js";

export const memory: MemoryBytes = {
  weights: 5_000_000,
  trained: 800_000,
  gradients: 800_000,
  optimizer: 1_600_000,
  activations: 9_000_000,
  workspace: 3_000_000,
  cache: 0,
  io: 200_000,
};

export function planned(updates = 10, runId = "r1"): TrainEvent {
  return {
    kind: "planned",
    update: 0,
    seconds: 0,
    runId,
    updates,
    rows: 400,
    validationRows: 20,
    trainedParameters: 12_345,
    memory,
    device: "cpu",
    dtype: "bf16",
  };
}

export function skipped(update: number, scaleBefore: number): TrainEvent {
  return {
    kind: "skipped",
    update,
    seconds: update / 2,
    reason: `the gradient of "a" (inf) overflows in f16 at a loss scale of ${scaleBefore}; tried again at ${scaleBefore / 2}`,
    step: update + 1,
    scaleBefore,
    scaleAfter: scaleBefore / 2,
    tensors: [{ tensor: "a", value: "inf" }],
  };
}

export function updated(update: number, loss: number, more: Partial<MemoryBytes> = {}): TrainEvent {
  return {
    kind: "updated",
    update,
    seconds: update / 2,
    loss,
    learningRate: 3e-4,
    gradientNorm: 1.25,
    trainedTokens: 100,
    tokens: 220,
    tokensPerSecond: 440,
    epoch: 1,
    memory: { ...memory, ...more },
  };
}

export class ScriptedRun implements RunLike {
  readonly events: TrainEvent[] = [];
  readonly calls: string[] = [];
  readonly finished: Promise<unknown>;
  #settle!: { resolve: () => void; reject: (error: Error) => void };
  #waiting: (() => void)[] = [];
  #over = false;

  constructor(readonly id = "r1") {
    this.finished = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.finished.catch(() => {});
  }

  push(...events: TrainEvent[]): void {
    this.events.push(...events);
    for (const event of events) {
      if (event.kind === "failed") this.#settle.reject(new Error(event.message));
      if (event.kind === "stopped") this.#settle.resolve();
      this.#over ||= event.kind === "failed" || event.kind === "stopped";
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent> {
    for (let i = 0; ; i++) {
      while (i >= this.events.length) {
        if (this.#over) return;
        await new Promise<void>((wake) => this.#waiting.push(wake));
      }
      yield this.events[i]!;
    }
  }

  set(controls: Controls): void {
    this.calls.push(`set ${JSON.stringify(controls)}`);
  }
  pause(): void {
    this.calls.push("pause");
  }
  resume(): void {
    this.calls.push("resume");
  }
  stop(): void {
    this.calls.push("stop");
  }
  saveNow(): void {
    this.calls.push("save");
  }
  async sample(): Promise<void> {
    this.calls.push("sample");
    throw new Error("sample: the run has no prompts");
  }
}
