// Stops a main thread that does not answer. The cell's AbortSignal comes first; when the main thread is so busy that
// it cannot even see it, its JavaScript is terminated from here, again and again until it answers.
// Terminating ends the running call stack, uncatchably, and leaves process, state and timers as they are.

import { Session } from "node:inspector";

export interface WatchdogOptions {
  /** Ask the main thread to answer with `pong(id)`. */
  readonly ping: (id: number) => void;
  /** Milliseconds the main thread has before the first termination. @default 900 */
  readonly patience?: number;
  /** Milliseconds between terminations. @default 150 */
  readonly interval?: number;
}

export class Watchdog {
  readonly #ping: (id: number) => void;
  readonly #patience: number;
  readonly #interval: number;
  #asked = 0;
  #answered = 0;
  #watching: Promise<void> | undefined;

  constructor({ ping, patience = 900, interval = 150 }: WatchdogOptions) {
    this.#ping = ping;
    this.#patience = patience;
    this.#interval = interval;
  }

  pong(id: number): void {
    this.#answered = Math.max(this.#answered, id);
  }

  /** Resolves once the main thread answers. Calls during a watch join it. */
  ensureResponsive(): Promise<void> {
    this.#watching ??= this.#watch().finally(() => {
      this.#watching = undefined;
    });
    return this.#watching;
  }

  async #watch(): Promise<void> {
    this.#asked += 1;
    const id = this.#asked;
    this.#ping(id);
    if (await this.#answeredWithin(id, this.#patience)) return;
    const session = new Session();
    session.connectToMainThread();
    try {
      // Between two terminations the main thread gets a moment to come round to the ping.
      do terminate(session);
      while (!(await this.#answeredWithin(id, this.#interval)));
    } finally {
      // Left connected, the process would wait for a debugger at its end.
      session.disconnect();
    }
  }

  async #answeredWithin(id: number, milliseconds: number): Promise<boolean> {
    const until = performance.now() + milliseconds;
    while (this.#answered < id && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return this.#answered >= id;
  }
}

/** Without a callback: a request is refused while an earlier one is under way, and the loop above asks again. */
function terminate(session: Session): void {
  session.post("Runtime.terminateExecution");
}
