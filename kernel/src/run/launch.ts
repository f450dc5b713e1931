// Starts the code of a cell so that terminating it ends nothing else: each start is a message of its own, with no
// frame of the kernel below that must go on afterwards. Next: executor.ts.

import vm from "node:vm";
import { MessageChannel } from "node:worker_threads";
import { type CellContext, Interrupted, inCell } from "./context.js";

export type Outcome =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "interrupted" };

export interface Box {
  readonly value: unknown;
}

const startKey = Symbol.for("tunebook.start");
const globals = globalThis as unknown as Record<symbol, (() => void) | undefined>;

/** Run by V8's own SIGINT watch: Ctrl-C in a terminal stops a loop before the cell's first `await`. */
const starter = new vm.Script('globalThis[Symbol.for("tunebook.start")]()', { filename: "node:internal/tunebook" });

export class Launcher {
  readonly #port = new MessageChannel();
  readonly #interrupt: () => void;
  #start: (() => void) | undefined;

  /** @param interrupt - Called for SIGINT outside the watch above: while a cell awaits, or none runs. */
  constructor(interrupt: () => void) {
    this.#interrupt = interrupt;
    this.#port.port2.on("message", () => this.#start?.());
    this.watchSignal();
  }

  /** Node.js takes the listener away while V8 watches, and a terminated cell keeps it from putting it back. */
  watchSignal(): void {
    if (!process.listeners("SIGINT").includes(this.#interrupt)) process.on("SIGINT", this.#interrupt);
  }

  /**
   * @param work - The code of the cell. In a box, as the value may be a promise nobody wants to wait for.
   * @param settle - Called once the code has ended. Never called when it was terminated.
   */
  launch(context: CellContext, work: () => Promise<Box>, settle: (outcome: Outcome) => void): void {
    this.#start = () =>
      inCell(context, () => {
        let running: Promise<Box> | undefined;
        globals[startKey] = () => {
          running = work();
        };
        try {
          starter.runInThisContext({ breakOnSigint: true });
        } catch (error) {
          const stopped = (error as { code?: string }).code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
          if (stopped) context.controller.abort(new Interrupted());
          settle(stopped ? { kind: "interrupted" } : { kind: "error", error });
          return;
        }
        running?.then(
          ({ value }) => settle({ kind: "value", value }),
          (error: unknown) => settle({ kind: "error", error }),
        );
      });
    this.#port.port1.postMessage(null);
  }
}
