// A side of the bench as a child process: one JSON line in, one JSON line out. Used by run.ts; answered by ours.ts and peer.py.
//
//     started with the job as JSON        -> { versions, ... } once it is built
//     { do: "step", times: n }            -> { seconds, ... } of one step, the mean of n
//     { do: "report" }                    -> { startBytes, peakBytes, ... }
//     end of input                        -> it exits

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export interface Built {
  /** Name and version of each thing that matters. */
  readonly versions: Readonly<Record<string, string>>;
  readonly threads: number;
}

export interface Step {
  readonly seconds: number;
}

export interface Report {
  /** Bytes of physical memory with everything imported and no model. */
  readonly startBytes: number;
  /** The most the process ever held. */
  readonly peakBytes: number;
}

type Request = { readonly do: "step"; readonly times: number } | { readonly do: "report" };

export class Child {
  readonly #lines: AsyncIterator<string>;
  readonly #errors: string[] = [];

  private constructor(
    readonly name: string,
    private readonly process: ChildProcessWithoutNullStreams,
  ) {
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
    process.stderr.setEncoding("utf8").on("data", (text: string) => this.#errors.push(text));
    // A child that died is reported by the answer that is missing, with what it said.
    process.stdin.on("error", (error) => this.#errors.push(error.message));
  }

  /** @throws Error when it does not come up, with what it wrote to stderr. */
  static async start(
    name: string,
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<{ readonly child: Child; readonly built: Built }> {
    const child = new Child(name, spawn(program, args, { env: { ...process.env, ...env } }));
    try {
      return { child, built: (await child.#answer()) as unknown as Built };
    } catch (error) {
      child.kill();
      throw error;
    }
  }

  async step(times: number): Promise<Step> {
    return (await this.#ask({ do: "step", times })) as unknown as Step;
  }

  async report<T extends Report = Report>(): Promise<T> {
    return (await this.#ask({ do: "report" })) as unknown as T;
  }

  /** Lets it end by itself and waits until its memory is given back. */
  async end(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.stdin.end();
    await ended;
  }

  kill(): void {
    this.process.kill("SIGKILL");
  }

  #ask(request: Request): Promise<Record<string, unknown>> {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    return this.#answer();
  }

  async #answer(): Promise<Record<string, unknown>> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) {
        const said = this.#errors.join("").trim().split("\n").slice(-15).join("\n");
        throw new Error(`bench: ${this.name} ended without an answer; it said:\n${said}`);
      }
      // Libraries may greet on stdout: answers are the lines that are objects.
      if ((value as string).startsWith("{")) return JSON.parse(value as string) as Record<string, unknown>;
    }
  }
}
