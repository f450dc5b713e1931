// Runs cells one after the other: compile, run, publish, reply. Comms do not wait in this queue.

import { pathToFileURL } from "node:url";
import vm from "node:vm";
import type { Compiled, LanguageMethods, Typecheck } from "../language/methods.js";
import type { Message } from "../wire/message.js";
import type { Caller } from "../wire/rpc.js";
import { CellContext, currentCell, Interrupted, type Send } from "./context.js";
import { complaintContent, complaintTexts, type ErrorContent, errorContent } from "./errors.js";
import type { History } from "./history.js";
import { Launcher, type Outcome } from "./launch.js";
import { bindImport, type Modules } from "./modules.js";
import type { CellPlaces } from "./places.js";
import { bundleOf } from "./render.js";

export interface ExecutorOptions {
  readonly send: Send;
  readonly language: Caller<LanguageMethods>;
  readonly modules: Modules;
  readonly places: CellPlaces;
  readonly history: History;
  readonly folder: string;
  readonly typecheck: Typecheck;
  /** Resolves when everything clients had sent by now has arrived. */
  readonly fence: () => Promise<void>;
}

type CellFunction = (tunebook: object, scope: Record<string, unknown>) => Promise<void>;

/** Milliseconds an interrupted cell has to end by itself before it is given up. */
const grace = 300;

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #launcher = new Launcher(() => this.interrupt());
  readonly #queue: Message[] = [];
  /** Every top-level name of every cell. */
  readonly #scope: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  #running: { readonly context: CellContext; readonly settle: (outcome: Outcome) => void } | undefined;
  #working = false;
  #count = 0;
  #cells = 0;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  push(request: Message): void {
    this.#queue.push(request);
    if (!this.#working) void this.#work();
  }

  /** Raise the running cell's AbortSignal, and give the cell up if it does not end. Nothing when idle. */
  interrupt(): void {
    const running = this.#running;
    if (!running) return;
    running.context.controller.abort(new Interrupted());
    setTimeout(() => running.settle({ kind: "interrupted" }), grace);
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let request = this.#queue.shift(); request; request = this.#queue.shift()) await this.#execute(request);
    this.#working = false;
  }

  async #execute(request: Message): Promise<void> {
    const { send, history } = this.#options;
    const { content } = request;
    const code = String(content.code ?? "");
    const context = new CellContext(request, send);
    const stored = !context.silent && content.store_history !== false;
    context.status("busy");
    if (stored) this.#count += 1;
    const count = this.#count;
    context.publish("execute_input", { code, execution_count: count });

    const { failure, text } = await this.#cell(context, code, count);
    if (stored) history.add(count, code, text);
    if (failure) {
      const stop = content.stop_on_error !== false;
      if (stop) await this.#options.fence();
      const aborted = stop ? this.#queue.splice(0) : [];
      context.publish("error", { ...failure });
      context.reply({ status: "error", execution_count: count, ...failure, user_expressions: {}, payload: [] });
      context.status("idle");
      for (const one of aborted) this.#abort(one);
      return;
    }
    const user_expressions = await this.#expressions(context, content.user_expressions);
    context.streams.flush();
    context.reply({ status: "ok", execution_count: count, user_expressions, payload: [] });
    context.status("idle");
  }

  /** Queued behind a cell that failed: answered, not run. */
  #abort(request: Message): void {
    const context = new CellContext(request, this.#options.send);
    context.status("busy");
    context.reply({ status: "aborted", execution_count: this.#count });
    context.status("idle");
  }

  /** Run a cell and publish its result. */
  async #cell(
    context: CellContext,
    code: string,
    count: number,
  ): Promise<{ readonly failure?: ErrorContent; readonly text: string | null }> {
    const { places } = this.#options;
    const { outcome, refused } = await this.#evaluate(context, code, `Cell [${count}]`, true);
    if (refused) return { failure: refused, text: null };
    if (context.interrupted || outcome.kind === "interrupted") {
      return { failure: errorContent(stackless(new Interrupted()), places), text: null };
    }
    if (outcome.kind === "error") return { failure: errorContent(outcome.error, places), text: null };
    if (outcome.value === undefined) return { text: null };
    try {
      const data = await bundleOf(outcome.value);
      context.publish("execute_result", { execution_count: count, data, metadata: {} });
      return { text: String(data["text/plain"]) };
    } catch (error) {
      return { failure: errorContent(error, places), text: null };
    }
  }

  /** Compile and run. Settles when the code has ended, or was given up after an interrupt. */
  async #evaluate(context: CellContext, code: string, label: string, keep: boolean): Promise<Evaluated> {
    const { language, places, typecheck } = this.#options;
    this.#cells += 1;
    const cell = this.#cells;
    let compiled: Compiled | undefined;
    const outcome = await new Promise<Outcome>((settle) => {
      this.#running = { context, settle };
      language.call("compile", { cell, code, typecheck: keep ? typecheck : "off", keep }).then(
        (done) => {
          compiled = done;
          if (done.kind === "refused" || context.interrupted) return settle({ kind: "interrupted" });
          places.add(cell, label, code, done.code, done.positions);
          if (done.complaints.length > 0) {
            context.streams.write("stderr", `${complaintTexts(done.complaints, code, label).join("\n")}\n`);
          }
          this.#run(context, cell, done.code, settle);
        },
        (error: unknown) => settle({ kind: "error", error }),
      );
    });
    this.#running = undefined;
    this.#launcher.watchSignal();
    if (compiled?.kind === "refused") return { outcome, refused: complaintContent(compiled.complaints, code, label) };
    if (compiled && keep && outcome.kind !== "value") {
      const names = compiled.names.filter((name) => !(name in this.#scope));
      if (names.length > 0) await language.call("forget", { names });
    }
    return { outcome };
  }

  #run(context: CellContext, cell: number, code: string, settle: (outcome: Outcome) => void): void {
    const { modules, places } = this.#options;
    const scope = this.#scope;
    // A function of an earlier cell runs on behalf of the cell that called it.
    const check = () => {
      const { signal } = (currentCell() ?? context).controller;
      if (signal.aborted) throw signal.reason;
    };
    const tunebook = {
      result: undefined as unknown,
      meta: this.#meta(cell),
      import: (specifier: string, options?: object) => modules.import(String(specifier), options),
      bind: (specifier: string, module: object, names: [string, string][], whole: string | null) =>
        bindImport(scope, specifier, module, names, whole),
      /** After every `await`: an interrupted cell goes no further, however long its loop. */
      resumed: <Value>(value: Value): Value => {
        check();
        return value;
      },
      check,
    };
    const work = async () => {
      const script = new vm.Script(code, {
        filename: places.fileOf(cell),
        importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
      } as vm.ScriptOptions);
      await (script.runInThisContext() as CellFunction)(tunebook, scope);
      return { value: tunebook.result };
    };
    this.#launcher.launch(context, work, settle);
  }

  #meta(cell: number): object {
    const { places, folder } = this.#options;
    const filename = places.fileOf(cell);
    return { url: pathToFileURL(filename).href, filename, dirname: folder };
  }

  async #expressions(context: CellContext, asked: unknown): Promise<Record<string, unknown>> {
    const results: Record<string, unknown> = {};
    if (typeof asked !== "object" || asked === null) return results;
    for (const [name, expression] of Object.entries(asked)) {
      const { outcome, refused } = await this.#evaluate(context, String(expression), `Expression ${name}`, false);
      if (outcome.kind === "value") results[name] = { status: "ok", data: await bundleOf(outcome.value), metadata: {} };
      else {
        const error = outcome.kind === "error" ? outcome.error : stackless(new Interrupted());
        results[name] = { status: "error", ...(refused ?? errorContent(error, this.#options.places)) };
      }
    }
    return results;
  }
}

interface Evaluated {
  readonly outcome: Outcome;
  /** What the compiler refused; then nothing has run. */
  readonly refused?: ErrorContent;
}

/** Where the kernel made the error says nothing to the reader. */
function stackless(error: Error): Error {
  error.stack = `${error.name}: ${error.message}`;
  return error;
}
