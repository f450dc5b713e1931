// One run followed over one kernel connection: opens the comm, folds what comes, fills gaps, sends controls. Shared by all
// views of the run in this page. The kernel's end is tunebook's widgets/channel.ts.

import type { Kernel, KernelMessage } from "@jupyterlab/services";
import {
  decodeEvents,
  emptyRun,
  foldRuns,
  type Reply,
  type Request,
  RUN_TARGET,
  type RunState,
  type TrainEvent,
} from "tunebook/widgets/browser";
import type { Line, RunModel } from "./model.js";

/** A kernel that has not answered by then may be busy, or may not know our target at all. */
const ANSWER_MS = 10_000;

export interface SavedPicture {
  readonly data: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
}

export class RunConnection implements RunModel {
  #state: RunState;
  #line: Line = "connecting";
  #refusal = "";
  #heard = 0;
  #comm: Kernel.IComm | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pictures: ((picture: SavedPicture) => void)[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly runId: string,
    readonly kernel: Kernel.IKernelConnection,
  ) {
    this.#state = emptyRun(runId);
    kernel.statusChanged.connect(this.#onStatus, this);
    kernel.connectionStatusChanged.connect(this.#onConnection, this);
    this.#open();
  }

  get state(): RunState {
    return this.#state;
  }

  get line(): Line {
    return this.#line;
  }

  get refusal(): string {
    return this.#refusal;
  }

  /** Events folded so far; 0 until the kernel has answered. */
  get heard(): number {
    return this.#heard;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  ask(request: Request): void {
    this.#refusal = "";
    this.#send(request);
  }

  /** The run's output as the kernel would display it now, for a notebook whose saved output is older. */
  picture(): Promise<SavedPicture> {
    return new Promise((resolve) => {
      this.#pictures.push(resolve);
      this.#send({ kind: "picture" });
    });
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.kernel.statusChanged.disconnect(this.#onStatus, this);
    this.kernel.connectionStatusChanged.disconnect(this.#onConnection, this);
    this.#listeners.clear();
    const comm = this.#comm;
    this.#comm = undefined;
    if (comm && !comm.isDisposed && !this.kernel.isDisposed) comm.close();
  }

  #open(): void {
    const comm = this.kernel.createComm(RUN_TARGET);
    this.#comm = comm;
    comm.onMsg = (message) => this.#received(message);
    comm.onClose = () => this.#set("gone");
    comm.open({ runId: this.runId });
    this.#askForEvents();
    this.#set("connecting");
    this.#timer = setTimeout(() => {
      if (this.#line === "connecting") this.#set("gone");
    }, ANSWER_MS);
  }

  #askForEvents(): void {
    this.#send({ kind: "state", since: this.#heard });
  }

  #send(request: Request): void {
    if (!this.#comm || this.#comm.isDisposed) {
      this.#set("gone");
      return;
    }
    this.#comm.send(JSON.parse(JSON.stringify(request)));
  }

  #received(message: KernelMessage.ICommMsgMsg): void {
    const reply = message.content.data as unknown as Reply;
    switch (reply.kind) {
      case "events": {
        const events = decodeEvents(reply, message.buffers ?? []);
        this.#fold(reply.from, events);
        break;
      }
      case "unknown":
        this.#set("gone");
        break;
      case "error":
        this.#refusal = reply.message;
        this.#changed();
        break;
      case "picture":
        for (const resolve of this.#pictures.splice(0)) resolve(reply as unknown as SavedPicture);
        break;
      default:
        reply satisfies never;
    }
  }

  /** Events may come twice after a reconnect, and messages may be lost on the way: count them. */
  #fold(from: number, events: readonly TrainEvent[]): void {
    if (from > this.#heard) {
      this.#askForEvents();
      return;
    }
    const fresh = events.slice(this.#heard - from);
    this.#state = foldRuns(this.#state, fresh);
    this.#heard += fresh.length;
    this.#set("live");
  }

  #onStatus(_: Kernel.IKernelConnection, status: Kernel.Status): void {
    if (status === "restarting" || status === "autorestarting" || status === "dead" || status === "terminating") {
      this.#set("gone");
    }
  }

  #onConnection(_: Kernel.IKernelConnection, status: Kernel.ConnectionStatus): void {
    if (status === "connected" && this.#line !== "gone") this.#askForEvents();
  }

  #set(line: Line): void {
    this.#line = line;
    if (line !== "connecting") clearTimeout(this.#timer);
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Connections of this page, one for each run and kernel, closed when their last view lets go. */
export class Connections {
  readonly #open = new Map<string, { connection: RunConnection; views: number }>();

  acquire(runId: string, kernel: Kernel.IKernelConnection): { connection: RunConnection; release: () => void } {
    const key = `${kernel.clientId}/${kernel.id}/${runId}`;
    let entry = this.#open.get(key);
    if (!entry || entry.connection.kernel !== kernel || entry.connection.line === "gone") {
      entry = { connection: new RunConnection(runId, kernel), views: 0 };
      this.#open.set(key, entry);
    }
    const held = entry;
    held.views += 1;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      held.views -= 1;
      if (held.views > 0) return;
      held.connection.dispose();
      if (this.#open.get(key) === held) this.#open.delete(key);
    };
    return { connection: held.connection, release };
  }
}
