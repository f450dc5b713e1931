// The kernel's end of the line to the views of runs: answers what they ask, sends what is new, applies their controls.
// The state of truth is here; a view that closes loses nothing. What is said is in wire.ts.

import type { TrainEvent } from "../train/events.js";
import type { Comm, CommHandlers, Host } from "./host.js";
import { bundleWithPng } from "./mime.js";
import type { RunLike } from "./run.js";
import { emptyRun, foldRuns } from "./state.js";
import { encodeEvents, parseRequest, type Reply, type Request, RUN_TARGET, SEND_MS } from "./wire.js";

/** Most events in one message: a few milliseconds to encode, and whole curves of long runs come in pieces. */
const EVENTS_PER_MESSAGE = 4000;
/** Ended runs whose events are kept for views that come back. */
const ENDED_RUNS = 20;

const channels = new WeakMap<Host, Channel>();

/** The channel of this host; registers the comm target at the first call. */
export function channelOf(host: Host): Channel {
  let channel = channels.get(host);
  if (!channel) channels.set(host, (channel = new Channel(host)));
  return channel;
}

export class Channel {
  readonly #sources = new Map<string, Source>();

  constructor(host: Host) {
    host.onComm(RUN_TARGET, (comm, data) => this.#opened(comm, data));
  }

  /** Makes the run known to views, by its id. Its events are kept after it ends; the run itself is let go then. */
  add(run: RunLike): void {
    if (this.#sources.has(run.id)) return;
    this.#sources.set(run.id, new Source(run));
    const ended = [...this.#sources.values()].filter((source) => !source.run);
    for (const source of ended.slice(0, Math.max(0, ended.length - ENDED_RUNS))) this.#sources.delete(source.id);
  }

  #opened(comm: Comm, data: unknown): CommHandlers {
    const runId = (data as { runId?: unknown } | null)?.runId;
    const source = typeof runId === "string" ? this.#sources.get(runId) : undefined;
    if (!source) {
      const unknown: Reply = { kind: "unknown", runId: String(runId) };
      comm.send(unknown);
      return { message: () => comm.send(unknown), closed: () => {} };
    }
    const view = new View(comm, source);
    source.views.add(view);
    return {
      message: (message) => void view.answer(message),
      closed: () => {
        source.views.delete(view);
        view.close();
      },
    };
  }
}

/** One run and who looks at it. */
class Source {
  readonly id: string;
  readonly events: readonly TrainEvent[];
  readonly views = new Set<View>();
  /** Undefined once the run has ended: a finished run must not keep a model in memory. */
  run: RunLike | undefined;

  constructor(run: RunLike) {
    this.id = run.id;
    this.events = run.events;
    this.run = run;
    void this.#follow(run);
  }

  async #follow(run: RunLike): Promise<void> {
    try {
      for await (const _ of run) this.#wake();
    } catch {
      // The failure is the last event, and whoever awaits run.finished gets the error itself.
    } finally {
      this.run = undefined;
      this.#wake();
    }
  }

  #wake(): void {
    for (const view of this.views) view.wake();
  }
}

/** One view: how far it has got, and when it was last written to. */
class View {
  /** Number of the next event to send; undefined until the view has asked. */
  #next: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly comm: Comm,
    readonly source: Source,
  ) {}

  /** Something may be new: send it when SEND_MS have passed since the last message. */
  wake(): void {
    if (this.#next === undefined || this.#timer || this.#next >= this.source.events.length) return;
    const wait = Math.max(0, this.#sentAt + SEND_MS - performance.now());
    this.#timer = setTimeout(() => this.#flush(), wait);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#next = undefined;
  }

  async answer(data: unknown): Promise<void> {
    let asked = "message";
    try {
      const request = parseRequest(data);
      asked = request.kind;
      await this.#serve(request);
    } catch (error) {
      this.#reply({ kind: "error", request: asked, message: error instanceof Error ? error.message : String(error) });
    }
  }

  async #serve(request: Request): Promise<void> {
    if (request.kind === "state") {
      this.#next = Math.min(request.since, this.source.events.length);
      this.wake();
      return;
    }
    if (request.kind === "picture") {
      const { data, metadata } = await bundleWithPng(foldRuns(emptyRun(this.source.id), this.source.events));
      this.#reply({ kind: "picture", data, metadata });
      return;
    }
    const { run } = this.source;
    if (!run) throw new Error(`run ${this.source.id} has ended; there is nothing left to ${request.kind}`);
    switch (request.kind) {
      case "pause":
        await run.pause();
        return;
      case "resume":
        await run.resume();
        return;
      case "stop":
        await run.stop();
        return;
      case "save":
        await run.saveNow();
        return;
      case "sample":
        await run.sample();
        return;
      case "set":
        await run.set(request.controls);
        return;
      default:
        request.kind satisfies never;
    }
  }

  #flush(): void {
    this.#timer = undefined;
    const from = this.#next;
    if (from === undefined) return;
    const events = this.source.events.slice(from, from + EVENTS_PER_MESSAGE);
    if (events.length === 0) return;
    const { reply, buffers } = encodeEvents(events, from);
    this.#next = from + events.length;
    this.#sentAt = performance.now();
    this.comm.send(reply, buffers);
    this.wake();
  }

  #reply(reply: Reply): void {
    this.comm.send(reply);
  }
}
