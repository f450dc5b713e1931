// The events of one run: kept, written to events.jsonl line by line, and read by any number of readers, each from the first event.

import { type FileHandle, open, readFile } from "node:fs/promises";
import { replaceFile } from "../model/weights/index.js";
import type { TrainEvent } from "./events.js";

export class EventLog implements AsyncIterable<TrainEvent> {
  readonly #events: TrainEvent[];
  #file: FileHandle | undefined;
  #unwritten: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #writeFailure: unknown;
  #ended = false;
  #failure: unknown;
  #wake: (() => void)[] = [];

  /** @param events - What an earlier part of the run has told already, when it is resumed. */
  constructor(events: readonly TrainEvent[] = []) {
    this.#events = [...events];
  }

  get events(): readonly TrainEvent[] {
    return this.#events;
  }

  /** Put the earlier events of a resumed run before those of this one. Called before the first `add`. */
  restore(events: readonly TrainEvent[]): void {
    this.#events.unshift(...events);
  }

  /** Write all events so far to `path` and later ones as they come. */
  async openFile(path: string): Promise<void> {
    // The earlier events stay on disk until they are all written again.
    await replaceFile(path, [new TextEncoder().encode(this.#events.map(lineOf).join(""))]);
    this.#file = await open(path, "a");
  }

  add(event: TrainEvent): void {
    this.#events.push(event);
    if (this.#file) {
      this.#unwritten.push(lineOf(event));
      this.#writing = this.#writing.then(() => this.#flush());
    }
    this.#notify();
  }

  /** No event follows. Readers end, or throw `failure` after the last event. */
  async end(failure?: unknown): Promise<void> {
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
    this.#ended = true;
    this.#failure = failure;
    this.#notify();
  }

  /** @throws what went wrong when a line could not be written. */
  async written(): Promise<void> {
    await this.#writing;
    if (this.#writeFailure !== undefined) throw this.#writeFailure;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, undefined> {
    for (let next = 0; ; ) {
      while (next < this.#events.length) yield this.#events[next++] as TrainEvent;
      if (this.#ended) break;
      await new Promise<void>((wake) => this.#wake.push(wake));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #flush(): Promise<void> {
    const lines = this.#unwritten.splice(0);
    if (lines.length === 0 || this.#writeFailure !== undefined) return;
    try {
      await this.#file?.appendFile(lines.join(""));
    } catch (error) {
      this.#writeFailure = error; // told by `written`, which the run awaits with every update
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

function lineOf(event: TrainEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/**
 * Events of an events.jsonl. A last line that was cut off, as by `kill -9`, is left out.
 *
 * @throws RangeError naming file and line when another line is no event.
 */
export async function readEvents(path: string): Promise<TrainEvent[]> {
  const lines = (await readFile(path, "utf8")).split("\n");
  lines.pop(); // what follows the last newline: nothing, or a line that was cut off
  return lines.map((line, i) => {
    try {
      return JSON.parse(line) as TrainEvent;
    } catch (error) {
      throw new RangeError(`${path}:${i + 1}: expected one event as JSON, got ${JSON.stringify(line.slice(0, 60))}`, {
        cause: error,
      });
    }
  });
}
