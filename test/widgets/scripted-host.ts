// A kernel's Host that writes down what is displayed, and opens comms as a browser would.

import type { Comm, CommHandlers, DisplayOptions, Host, MimeBundle } from "../../src/widgets/host.js";

export interface Message {
  readonly at: number;
  readonly data: Record<string, unknown>;
  readonly buffers: readonly Uint8Array[];
}

export class ScriptedHost implements Host {
  readonly displayed: { bundle: MimeBundle; options: DisplayOptions }[] = [];
  readonly abort = new AbortController();
  #targets = new Map<string, (comm: Comm, data: unknown) => CommHandlers>();

  display(bundle: MimeBundle, options: DisplayOptions = {}): void {
    this.displayed.push({ bundle, options });
  }
  onComm(target: string, opened: (comm: Comm, data: unknown) => CommHandlers): void {
    this.#targets.set(target, opened);
  }
  cellSignal(): AbortSignal {
    return this.abort.signal;
  }
  onShutdown(): void {}

  /** What a page does; `received` fills as the kernel answers. */
  open(target: string, data: unknown) {
    const received: Message[] = [];
    const comm: Comm = {
      id: "c1",
      send: (message, buffers = []) => {
        // as the wire does: JSON once, bytes copied
        const copied = JSON.parse(JSON.stringify(message)) as Record<string, unknown>;
        received.push({ at: performance.now(), data: copied, buffers: buffers.map((bytes) => bytes.slice()) });
      },
      close: () => {},
    };
    const handlers = this.#targets.get(target)!(comm, data);
    return { received, say: (message: unknown) => handlers.message(message, []), close: () => handlers.closed() };
  }
}
