// The line from libraries to the notebook: `globalThis[Symbol.for("tunebook.host")]`. The same shape is declared by the
// package `tunebook` (src/widgets/host.ts), which is not loaded here: a kernel starts without it.

import type { Comms, OpenedComm } from "./comms.js";
import { currentCell, outputCell } from "./context.js";

/** MIME type to data: text for text types, base64 for images, plain values for JSON types. */
export type MimeBundle = Readonly<Record<string, unknown>>;

export interface DisplayOptions {
  readonly displayId?: string;
  readonly update?: boolean;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface Comm {
  readonly id: string;
  send(data: unknown, buffers?: readonly Uint8Array[]): void;
  close(): void;
}

export interface CommHandlers {
  message(data: unknown, buffers: readonly Uint8Array[]): void;
  closed(): void;
}

export type Dispose = () => void | Promise<void>;

export interface NotebookHost {
  display(bundle: MimeBundle, options?: DisplayOptions): void;
  onComm(target: string, opened: OpenedComm): void;
  /** Open a line from the kernel's side, to a target that the browser knows. */
  openComm(target: string, data: unknown, handlers: CommHandlers, options?: OpenOptions): Comm;
  cellSignal(): AbortSignal | undefined;
  onShutdown(dispose: Dispose): void;
}

export interface OpenOptions {
  readonly buffers?: readonly Uint8Array[];
  readonly metadata?: Record<string, unknown>;
}

export const hostKey = Symbol.for("tunebook.host");

export function createHost(comms: Comms, onShutdown: (dispose: Dispose) => void): NotebookHost {
  return {
    display: displayBundle,
    onComm: (target, opened) => comms.register(target, opened),
    openComm: (target, data, handlers, options) => comms.open(target, data, handlers, options),
    cellSignal: () => currentCell()?.controller.signal,
    onShutdown,
  };
}

/** @throws Error when an update names no displayId. */
export function displayBundle(
  data: MimeBundle,
  { displayId, update = false, metadata = {} }: DisplayOptions = {},
): void {
  if (update && displayId === undefined) throw new Error("display: expected `displayId` with `update: true`, got none");
  const transient = displayId === undefined ? {} : { display_id: displayId };
  outputCell()?.publish(update ? "update_display_data" : "display_data", { data, metadata, transient });
}
