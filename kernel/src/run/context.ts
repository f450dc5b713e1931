// What a running cell carries along: its request, its AbortSignal and its output. Timers, promises and messages that a
// cell starts keep its context, so late output finds its own cell. Next: executor.ts.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Header, Message, Outgoing } from "../wire/message.js";
import { Streams } from "./streams.js";

export type Send = (outgoing: Outgoing) => void;

/** Reason of the AbortSignal of an interrupted cell, and what its next `await` throws. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  constructor() {
    super("The cell was stopped.");
  }
}

export class CellContext {
  readonly parent: Header;
  readonly identities: readonly Uint8Array[];
  readonly silent: boolean;
  readonly allowStdin: boolean;
  readonly controller = new AbortController();
  readonly streams: Streams;
  readonly #send: Send;

  constructor(request: Message, send: Send) {
    this.parent = request.header;
    this.identities = request.identities;
    this.silent = request.content.silent === true;
    this.allowStdin = request.content.allow_stdin !== false;
    this.#send = send;
    this.streams = new Streams((name, text) => this.publish("stream", { name, text }));
  }

  /** A message about this cell to everybody. What was printed before it goes first. Nothing when silent. */
  publish(type: string, content: Record<string, unknown>, metadata?: Record<string, unknown>): void {
    if (this.silent) return;
    if (type !== "stream") this.streams.flush();
    this.#send({ channel: "iopub", type, content, parent: this.parent, ...(metadata ? { metadata } : {}) });
  }

  /** Busy and idle are published for silent cells too. */
  status(state: "busy" | "idle"): void {
    this.streams.flush();
    this.#send({ channel: "iopub", type: "status", content: { execution_state: state }, parent: this.parent });
  }

  reply(content: Record<string, unknown>): void {
    const { parent, identities } = this;
    this.#send({ channel: "shell", type: "execute_reply", content, parent, identities });
  }

  get interrupted(): boolean {
    return this.controller.signal.aborted;
  }
}

/** By number: what is stored shows when a promise is printed (render.ts), and a number is easily left out. */
const contexts: CellContext[] = [];
const storage = new AsyncLocalStorage<number>();

/** Run `work` as part of a cell; everything it starts stays part of it. */
export function inCell<Result>(context: CellContext, work: () => Result): Result {
  return storage.run(contexts.push(context) - 1, work);
}

/** The cell that the running code belongs to, undefined outside. */
export function currentCell(): CellContext | undefined {
  const number = storage.getStore();
  return number === undefined ? undefined : contexts[number];
}

/** The cell that output belongs to: its own, or for code that belongs to none, the newest. */
export function outputCell(): CellContext | undefined {
  return currentCell() ?? contexts.at(-1);
}

/** The cell a promise was made in. Node.js up to 22 keeps the store on the promise itself. */
export function cellOfPromise(promise: Promise<unknown>): CellContext | undefined {
  const key = (storage as unknown as { kResourceStore?: symbol }).kResourceStore;
  const kept = key === undefined ? undefined : (promise as unknown as Record<symbol, unknown>)[key];
  return typeof kept === "number" ? contexts[kept] : outputCell();
}
