// Lines between code in the kernel and views in browsers. Messages are handed over as they come, while a cell awaits too.

import { AsyncResource } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import type { Message } from "../wire/message.js";
import { outputCell, type Send } from "./context.js";
import type { Comm, CommHandlers, OpenOptions } from "./host.js";

export type OpenedComm = (comm: Comm, data: unknown) => CommHandlers;

interface Open {
  readonly target: string;
  readonly handlers: CommHandlers;
}

export class Comms {
  readonly #send: Send;
  readonly #targets = new Map<string, OpenedComm>();
  readonly #open = new Map<string, Open>();

  constructor(send: Send) {
    this.#send = send;
  }

  /** A later registration of the same target takes its place. What handlers print goes to the cell that registers. */
  register(target: string, opened: OpenedComm): void {
    this.#targets.set(target, AsyncResource.bind(opened) as OpenedComm);
  }

  open(target: string, data: unknown, handlers: CommHandlers, { buffers = [], metadata = {} }: OpenOptions = {}): Comm {
    const id = randomUUID();
    this.#keep(id, target, handlers);
    this.#publish("comm_open", { comm_id: id, target_name: target, data: data ?? {} }, { buffers, metadata });
    return this.#comm(id);
  }

  /** Content of comm_info_reply. */
  info(target: unknown): Record<string, unknown> {
    const comms = [...this.#open].filter(([, open]) => typeof target !== "string" || open.target === target);
    return { status: "ok", comms: Object.fromEntries(comms.map(([id, open]) => [id, { target_name: open.target }])) };
  }

  /** Handle comm_open, comm_msg or comm_close. Errors of handlers are thrown. */
  receive({ header, content, buffers }: Message): void {
    const id = String(content.comm_id);
    if (header.msg_type === "comm_open") {
      const target = String(content.target_name);
      const opened = this.#targets.get(target);
      // Nobody listens: the browser has to know.
      if (!opened)
        this.#publish("comm_close", { comm_id: id, data: { reason: `no target "${target}" in this kernel` } });
      else this.#accept(id, target, opened, content.data);
      return;
    }
    const open = this.#open.get(id);
    if (!open) this.#unknown(header.msg_type, id);
    else if (header.msg_type === "comm_msg") open.handlers.message(content.data, buffers);
    else {
      this.#open.delete(id);
      open.handlers.closed();
    }
  }

  /** A view of an earlier kernel still talks: closing tells it that its line has ended. */
  #unknown(type: string, id: string): void {
    if (type === "comm_msg")
      this.#publish("comm_close", { comm_id: id, data: { reason: "no such comm in this kernel" } });
  }

  /** Open from the start, so that the handler may send at once. */
  #accept(id: string, target: string, opened: OpenedComm, data: unknown): void {
    this.#open.set(id, { target, handlers: { message: () => undefined, closed: () => undefined } });
    try {
      this.#keep(id, target, opened(this.#comm(id), data));
    } catch (error) {
      this.#comm(id).close();
      throw error;
    }
  }

  #keep(id: string, target: string, handlers: CommHandlers): void {
    const message = AsyncResource.bind(handlers.message.bind(handlers));
    const closed = AsyncResource.bind(handlers.closed.bind(handlers));
    this.#open.set(id, { target, handlers: { message, closed } });
  }

  /** Sending to a view that is gone does nothing: views come and go. */
  #comm(id: string): Comm {
    return {
      id,
      send: (data, buffers = []) => {
        if (this.#open.has(id)) this.#publish("comm_msg", { comm_id: id, data: data ?? {} }, { buffers });
      },
      close: () => {
        if (this.#open.delete(id)) this.#publish("comm_close", { comm_id: id, data: {} });
      },
    };
  }

  #publish(type: string, content: Record<string, unknown>, options: OpenOptions = {}): void {
    this.#send({ channel: "iopub", type, content, parent: outputCell()?.parent ?? {}, ...options });
  }
}
