// Stops a main thread that does not answer. The cell's AbortSignal comes first; when the main thread is so busy that
// it cannot even see it, its JavaScript is terminated from here, again and again until it answers.
// Terminating ends the running call stack, uncatchably, and leaves process, state and timers as they are.

import { Session } from "node:inspector";

/** Under this symbol the main thread keeps what makes it safe to end its call stack: see run/unwind.ts. */
const unwind = 'globalThis[Symbol.for("tunebook.unwind")]()';

export interface WatchdogOptions {
  /** Shared with the main thread: 1 once the termination has been asked for. */
  readonly asked: Int32Array;
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
  readonly #flag: Int32Array;
  #asked = 0;
  #answered = 0;
  #watching: Promise<void> | undefined;

  constructor({ asked, ping, patience = 900, interval = 150 }: WatchdogOptions) {
    this.#flag = asked;
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
      do this.#terminate(session);
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

  /**
   * Both requests are served in one go, as the first returns only when the second has been queued.
   * A request is refused while an earlier one is under way; the loop above asks again.
   */
  #terminate(session: Session): void {
    Atomics.store(this.#flag, 0, 0);
    session.post("Runtime.evaluate", { expression: unwind });
    session.post("Runtime.terminateExecution");
    Atomics.store(this.#flag, 0, 1);
  }
}
