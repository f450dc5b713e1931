// What is asked of a run while it runs: pause, stop, another learning rate, a checkpoint or answers now. Served by run.ts between updates.

import type { Answer, Controls } from "./events.js";
import { shown } from "./options.js";

export type Request =
  | { readonly kind: "save"; readonly done: (folder: string) => void; readonly failed: (error: unknown) => void }
  | {
      readonly kind: "sample";
      readonly prompts: readonly string[] | undefined;
      readonly done: (answers: readonly Answer[]) => void;
      readonly failed: (error: unknown) => void;
    };

export class RunControl {
  readonly #stop = new AbortController();
  #reason: "asked" | "aborted" | undefined;
  #paused = false;
  #controls: Controls | undefined;
  #requests: Request[] = [];
  #wake: (() => void) | undefined;
  #over = false;
  readonly #release: () => void;

  /** @param signal - Stops the run as "aborted". */
  constructor(signal: AbortSignal | undefined) {
    const abort = () => this.stop("aborted");
    signal?.addEventListener("abort", abort, { once: true });
    this.#release = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) abort();
  }

  /** Aborted when the run is to stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Why the run is to stop; undefined while it is not. */
  get stopReason(): "asked" | "aborted" | undefined {
    return this.#reason;
  }

  get paused(): boolean {
    return this.#paused && !this.#reason;
  }

  /** @throws RangeError naming the control at fault. Nothing is changed then. */
  set(controls: Controls): void {
    for (const name of Object.keys(controls)) {
      if (name !== "learningRate")
        throw new RangeError(`run: there is no control \`${name}\`; the controls are learningRate`);
    }
    const { learningRate } = controls;
    if (learningRate === undefined) return;
    if (!(Number.isFinite(learningRate) && learningRate > 0)) {
      throw new RangeError(`run: expected \`learningRate\` to be a number above 0, got ${shown(learningRate)}`);
    }
    this.#controls = { ...this.#controls, learningRate };
    this.#awake();
  }

  pause(): void {
    this.#paused = true;
    this.#awake();
  }

  resume(): void {
    this.#paused = false;
    this.#awake();
  }

  /** The first reason stays. */
  stop(reason: "asked" | "aborted"): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#stop.abort(new DOMException(`the run was ${reason === "asked" ? "asked to stop" : "aborted"}`, "AbortError"));
    this.#awake();
  }

  saveNow(): Promise<string> {
    return answered(new Promise((done, failed) => this.#ask({ kind: "save", done, failed })));
  }

  sample(prompts?: readonly string[]): Promise<readonly Answer[]> {
    return answered(new Promise((done, failed) => this.#ask({ kind: "sample", prompts, done, failed })));
  }

  /** The controls set since the last call. */
  takeControls(): Controls | undefined {
    const controls = this.#controls;
    this.#controls = undefined;
    return controls;
  }

  takeRequests(): readonly Request[] {
    return this.#requests.splice(0);
  }

  /** Until anything is asked. */
  async change(): Promise<void> {
    if (this.#controls || this.#requests.length > 0 || this.#reason) return;
    await new Promise<void>((wake) => {
      this.#wake = wake;
    });
  }

  /** The run is over: later requests are refused. */
  close(): void {
    this.#over = true;
    this.#release();
    for (const request of this.takeRequests()) request.failed(this.#tooLate());
  }

  #ask(request: Request): void {
    if (this.#over) request.failed(this.#tooLate());
    else this.#requests.push(request);
    this.#awake();
  }

  #tooLate(): Error {
    return new Error("run: it has ended, so there is nothing left to save or sample");
  }

  #awake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** Whoever asks may not wait for the answer, as a button does not: then a failure must not end the process. */
function answered<T>(answer: Promise<T>): Promise<T> {
  answer.catch(() => undefined);
  return answer;
}
