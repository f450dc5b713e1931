// What a Jupyter message is, and what the three threads of the kernel say to each other. Next: frames.ts.

import type { MessagePort } from "node:worker_threads";

/** The version of the messaging protocol this kernel speaks: XPUB with a welcome, kernel_info on control. */
export const protocolVersion = "5.5";

export interface Header {
  readonly msg_id: string;
  readonly session: string;
  readonly username: string;
  /** ISO 8601. */
  readonly date: string;
  readonly msg_type: string;
  readonly version: string;
}

export type Content = Record<string, unknown>;

/** One message after its signature was checked. `identities` are the routing frames before the delimiter. */
export interface Message {
  readonly identities: readonly Uint8Array[];
  readonly header: Header;
  readonly parent: Partial<Header>;
  readonly metadata: Content;
  readonly content: Content;
  readonly buffers: readonly Uint8Array[];
}

export type Channel = "shell" | "control" | "stdin" | "iopub";

/** A message to send: the wire thread adds header, session and signature. */
export interface Outgoing {
  readonly channel: Channel;
  readonly type: string;
  readonly content: Content;
  readonly parent: Partial<Header>;
  /** Routing frames of the request, for replies. @default none, which is right for iopub */
  readonly identities?: readonly Uint8Array[];
  readonly metadata?: Content;
  readonly buffers?: readonly Uint8Array[];
}

/** From the wire thread to the main thread. */
export type ToMain =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "request"; readonly channel: Channel; readonly message: Message }
  | { readonly kind: "interrupt" }
  | { readonly kind: "ping"; readonly id: number }
  | { readonly kind: "fenced"; readonly id: number }
  | { readonly kind: "shutdown"; readonly restart: boolean }
  | { readonly kind: "closed" };

/** From the main thread to the wire thread. */
export type ToWire =
  | { readonly kind: "send"; readonly outgoing: Outgoing }
  | { readonly kind: "pong"; readonly id: number }
  /** Answered by `fenced` once everything that clients had sent by now has been handed over. */
  | { readonly kind: "fence"; readonly id: number }
  /** Disposers have run: answer the shutdown request, close the sockets, then say `closed`. */
  | { readonly kind: "disposed" };

/** The fields of a connection file that the kernel reads. */
export interface Connection {
  readonly transport: string;
  readonly ip: string;
  readonly shell_port: number;
  readonly control_port: number;
  readonly stdin_port: number;
  readonly iopub_port: number;
  readonly hb_port: number;
  readonly key: string;
  readonly signature_scheme: string;
}

export interface WireStart {
  /** The flag of run/unwind.ts. */
  readonly asked: Int32Array;
  readonly connection: Connection;
  /** Line to the language thread, so that completion works while the main thread spins. */
  readonly language: MessagePort;
  /** The id of this kernel process, new after every restart. */
  readonly session: string;
}
