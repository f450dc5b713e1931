// The end of a kernel: disposers with a deadline, sockets closed by their own thread, then a real exit whatever timers,
// servers or workers are still alive.

import type { Worker } from "node:worker_threads";
import type { ToWire } from "../wire/message.js";
import type { Dispose } from "./host.js";

/** Milliseconds that all disposers together have. */
const deadline = 1000;

export interface ShutdownOptions {
  readonly wire: Worker;
  readonly toWire: (message: ToWire) => void;
}

export class Shutdown {
  readonly #options: ShutdownOptions;
  readonly #disposers: Dispose[] = [];
  readonly #exit = process.exit.bind(process);
  #code = 0;
  #begun = false;

  constructor(options: ShutdownOptions) {
    this.#options = options;
  }

  onShutdown(dispose: Dispose): void {
    this.#disposers.push(dispose);
  }

  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    const disposed = Promise.all(this.#disposers.map(async (dispose) => dispose())).catch((error) =>
      console.error(error),
    );
    const late = new Promise<void>((resolve) => setTimeout(resolve, deadline));
    void Promise.race([disposed, late]).then(() => this.#options.toWire({ kind: "disposed" }));
  }

  /** The sockets are closed: ending the process any earlier would abort it inside ZeroMQ. */
  leave(code: number): void {
    const { wire } = this.#options;
    const exit = () => this.#exit(code || this.#code);
    setTimeout(exit, 500);
    void wire.terminate().then(exit);
  }

  /** `process.exit()` in a cell ends the kernel, by this road. */
  guardExit(): void {
    process.exit = ((code = process.exitCode ?? 0) => {
      this.#code = Number(code);
      this.begin();
      throw new Error("process.exit was called: the kernel shuts down");
    }) as typeof process.exit;
  }
}
