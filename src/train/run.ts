// A training run as its owner sees it: it starts by itself, tells events, takes controls. What it does meanwhile is in loop.ts.

import path from "node:path";
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import type { Model, TrainedTensors } from "../model/index.js";
import { RunControl } from "./control.js";
import type { Answer, Controls, TrainEvent } from "./events.js";
import { placeRun, type RunPlace } from "./folder.js";
import { EventLog } from "./log.js";
import { Loop } from "./loop.js";
import { type ResolvedOptions, resolveOptions, type TrainOptions } from "./options.js";

/** How a run ended that did not fail. */
export interface TrainResult {
  readonly runId: string;
  readonly reason: "finished" | "asked" | "aborted";
  /** Updates made, those before a resume included. */
  readonly updates: number;
  /** Loss of the first and of the last update; undefined when there was none. */
  readonly firstLoss: number | undefined;
  readonly lastLoss: number | undefined;
  readonly seconds: number;
  readonly folder: string;
  /** Folder of what was learned; undefined when the run was stopped before it learned anything. */
  readonly adapter: string | undefined;
}

/**
 * Fine-tune what trains of a model. The run starts by itself on the next turn of the event loop; it is stopped by `stop`,
 * by `options.signal`, or ends after its last update.
 *
 * Its folder holds options.json, events.jsonl, checkpoints/step-N and at the end adapter/.
 *
 * @throws RangeError when an option does not hold. What is found out later, of the data for example, is told by a `failed` event,
 *   by `finished`, and to those who read the events.
 */
export function train(model: Model, options: TrainOptions): Run {
  const chosen = resolveOptions(options);
  const resolved = { ...chosen, maxTokens: options.maxTokens ?? Math.min(chosen.maxTokens, model.contextTokens) };
  const { trained } = model;
  if (!trained) {
    throw new RangeError(
      `train: nothing of "${model.name}" trains; attach an adapter (attachLora) or train all of it (trainFully)`,
    );
  }
  if (resolved.maxTokens > model.contextTokens) {
    throw new RangeError(
      `train: expected \`maxTokens\` to be at most ${model.contextTokens}, the context "${model.name}" was loaded with, got ${resolved.maxTokens}`,
    );
  }
  const before = running.get(trained);
  if (before && !before.stopping) {
    throw new RangeError(`train: "${model.name}" is being trained by the run ${before.id}; stop that one first`);
  }
  const run = new Run(model, options, resolved, placeRun(resolved, options.resume), before?.finished);
  running.set(trained, run);
  return run;
}

/** The run that changes these tensors now. The next one waits until it has ended. */
const running = new WeakMap<TrainedTensors, Run>();

/**
 * One run. Reading it gives every event from the first, to any number of readers; a reader of a run that failed gets the error after the
 * last event. A Run is no promise: await `run.finished`.
 */
export class Run implements AsyncIterable<TrainEvent> {
  readonly id: string;
  readonly folder: string;
  /** Settles when the run has ended and everything is on disk. Rejects when it failed. */
  readonly finished: Promise<TrainResult>;
  readonly #log = new EventLog();
  readonly #control: RunControl;
  readonly #loop: Loop;

  constructor(
    model: Model,
    given: TrainOptions,
    options: ResolvedOptions,
    place: RunPlace,
    before: Promise<unknown> | undefined,
  ) {
    this.id = place.id;
    this.folder = path.resolve(place.folder);
    this.#control = new RunControl(given.signal);
    this.#loop = new Loop(model, given, options, { ...place, folder: this.folder }, this.#log, this.#control);
    this.finished = this.#live(this.#loop, before).finally(() => {
      if (model.trained && running.get(model.trained) === this) running.delete(model.trained);
    });
    // A failure is told by the `failed` event and to whoever awaits `finished`; it must not end a process in which nobody does.
    this.finished.catch(() => undefined);
  }

  /** All options with their values, as written to options.json. `microBatchSize` has its value once the run is planned. */
  get options(): ResolvedOptions {
    return this.#loop.options;
  }

  /** Whether it was asked to stop. */
  get stopping(): boolean {
    return this.#control.stopReason !== undefined;
  }

  /** All events so far. */
  get events(): readonly TrainEvent[] {
    return this.#log.events;
  }

  [Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, undefined> {
    return this.#log[Symbol.asyncIterator]();
  }

  /**
   * Change a control from the next update on; a `changed` event says after which one.
   * learningRate is the schedule's highest: the schedule goes on from where it is.
   *
   * @throws RangeError naming the control that does not hold.
   */
  set(controls: Controls): void {
    this.#control.set(controls);
  }

  /** Wait after the update in progress. Saving, sampling, controls and stop work meanwhile. */
  pause(): void {
    this.#control.pause();
  }

  resume(): void {
    this.#control.resume();
  }

  /** End within a second, saving what was learned. */
  stop(): Promise<TrainResult> {
    this.#control.stop("asked");
    return this.finished;
  }

  /** Write a checkpoint after the update in progress. @returns its folder */
  saveNow(): Promise<string> {
    return this.#control.saveNow();
  }

  /** Answer prompts, by default samplePrompts, after the update in progress. */
  sample(prompts?: readonly string[]): Promise<readonly Answer[]> {
    return this.#control.sample(prompts);
  }

  async #live(loop: Loop, before: Promise<unknown> | undefined): Promise<TrainResult> {
    await setImmediate();
    await Promise.allSettled([before]);
    const started = performance.now();
    try {
      const result = await loop.run(started);
      this.#control.close();
      await this.#log.end();
      return result;
    } catch (error) {
      this.#control.close();
      const seconds = (performance.now() - started) / 1000;
      const update = this.#log.events.at(-1)?.update ?? 0;
      this.#log.add({ kind: "failed", update, seconds, message: (error as Error).message });
      await this.#log.end(error);
      throw error;
    }
  }
}
