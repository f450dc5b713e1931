// What every cell finds without importing it: display, input, prompt and clearOutput. Types: language/globals.ts.

import type { Message } from "../wire/message.js";
import { currentCell, outputCell, type Send } from "./context.js";
import { type DisplayOptions, displayBundle } from "./host.js";
import { bundleOf } from "./render.js";

/** Questions to the person at the notebook. One at a time: the protocol's answer does not say what it answers. */
export class Questions {
  readonly #send: Send;
  #tail: Promise<unknown> = Promise.resolve();
  #answer: ((value: string) => void) | undefined;

  constructor(send: Send) {
    this.#send = send;
  }

  /** @throws Error outside a cell, in a front end without input, and when the cell is interrupted. */
  ask(prompt: string, password: boolean): Promise<string> {
    const asked = this.#tail.then(() => this.#ask(prompt, password));
    this.#tail = asked.catch(() => undefined);
    return asked;
  }

  receive({ content }: Message): void {
    this.#answer?.(String(content.value ?? ""));
  }

  #ask(prompt: string, password: boolean): Promise<string> {
    const cell = currentCell();
    if (!cell?.allowStdin) throw new Error("input: this front end does not take input; run the cell in a notebook");
    const { parent, identities, controller } = cell;
    cell.streams.flush();
    return new Promise((resolve, reject) => {
      this.#answer = resolve;
      controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
      this.#send({ channel: "stdin", type: "input_request", content: { prompt, password }, parent, identities });
    });
  }
}

export function installGlobals(questions: Questions): void {
  const globals = {
    display: (value: unknown, options?: DisplayOptions): void | Promise<void> => {
      const bundle = bundleOf(value);
      return bundle instanceof Promise
        ? bundle.then((ready) => displayBundle(ready, options))
        : displayBundle(bundle, options);
    },
    input: (prompt = "", { password = false } = {}) => questions.ask(prompt, password),
    prompt: (message = "") => questions.ask(message, false),
    clearOutput: ({ wait = false } = {}) => outputCell()?.publish("clear_output", { wait }),
  };
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
}
