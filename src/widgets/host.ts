// What a notebook kernel gives to the library: a place to draw and a line to the browser.
// The Tunebook kernel puts a Host under `hostKey` of globalThis; hosts.ts finds it, or tslab's display, or a terminal.

/** MIME type to data: text for text types, base64 for image/png, plain values for JSON types. */
export type MimeBundle = Readonly<Record<string, unknown>>;

export interface DisplayOptions {
  /** Names the output, so that a later `update` redraws it in place. */
  readonly displayId?: string;
  /** Redraw the output of this displayId instead of adding one. */
  readonly update?: boolean;
  /** Per MIME type, such as `{ "image/png": { alt, width, height } }`. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** One open line to one view in a browser. Many views of the same run have a line each. */
export interface Comm {
  readonly id: string;
  send(data: unknown, buffers?: readonly Uint8Array[]): void;
  close(): void;
}

export interface CommHandlers {
  /** Called with data and buffers of each message of the view, while a cell awaits too. */
  message(data: unknown, buffers: readonly Uint8Array[]): void;
  closed(): void;
}

export interface Host {
  display(bundle: MimeBundle, options?: DisplayOptions): void;
  /** Views open comms to `target`; `opened` is called once per view and returns what handles its messages. */
  onComm(target: string, opened: (comm: Comm, data: unknown) => CommHandlers): void;
  /** Aborted when the running cell is interrupted. Undefined outside a cell. */
  cellSignal(): AbortSignal | undefined;
  /** Called before the kernel process exits, with a deadline of about a second. */
  onShutdown(dispose: () => void | Promise<void>): void;
}

export const hostKey = Symbol.for("tunebook.host");
