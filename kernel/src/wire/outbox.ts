// One queue per socket, one send at a time. ZeroMQ's binding throws EBUSY when about 512 sends are queued in one
// tick without waiting, and a kernel that prints in a loop does just that.

export interface FrameSocket {
  send(frames: Uint8Array[]): Promise<void>;
}

export class Outbox {
  readonly #socket: FrameSocket;
  readonly #failed: (error: unknown) => void;
  #tail: Promise<void> = Promise.resolve();

  constructor(socket: FrameSocket, failed: (error: unknown) => void) {
    this.#socket = socket;
    this.#failed = failed;
  }

  /** Sent after everything pushed before. A send that fails is reported and does not hold up the next. */
  push(frames: readonly Uint8Array[]): void {
    this.#tail = this.#tail.then(() => this.#socket.send([...frames])).catch(this.#failed);
  }

  /** Resolves when everything pushed so far has left. */
  drained(): Promise<void> {
    return this.#tail;
  }
}
