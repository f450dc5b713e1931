// What was run: tail, range and search. Kept in memory, and in a file as well where TUNEBOOK_HISTORY names one.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Content } from "../wire/message.js";

interface Entry {
  readonly session: number;
  readonly line: number;
  readonly input: string;
  readonly output: string | null;
}

export class History {
  readonly #file: string | undefined;
  readonly #entries: Entry[] = [];
  readonly #session: number;

  /** @param file - JSON lines, read at the start and appended to. */
  constructor(file: string | undefined) {
    this.#file = file;
    if (file && existsSync(file)) {
      for (const line of readFileSync(file, "utf8").split("\n"))
        if (line !== "") this.#entries.push(JSON.parse(line) as Entry);
    }
    this.#session = (this.#entries.at(-1)?.session ?? 0) + 1;
  }

  add(line: number, input: string, output: string | null): void {
    const entry = { session: this.#session, line, input, output };
    this.#entries.push(entry);
    if (this.#file) appendFileSync(this.#file, `${JSON.stringify(entry)}\n`);
  }

  /** Content of history_reply for the content of a history_request. */
  answer(request: Content): Content {
    const withOutput = request.output === true;
    const history = this.#select(request).map(({ session, line, input, output }) => [
      session,
      line,
      withOutput ? [input, output] : input,
    ]);
    return { status: "ok", history };
  }

  #select(request: Content): Entry[] {
    const count = typeof request.n === "number" ? request.n : Number.POSITIVE_INFINITY;
    switch (request.hist_access_type) {
      case "range": {
        const asked = typeof request.session === "number" ? request.session : 0;
        const session = asked > 0 ? asked : this.#session + asked;
        const start = typeof request.start === "number" ? request.start : 0;
        const stop = typeof request.stop === "number" ? request.stop : Number.POSITIVE_INFINITY;
        return this.#entries.filter((one) => one.session === session && one.line >= start && one.line < stop);
      }
      case "search": {
        const pattern = glob(typeof request.pattern === "string" ? request.pattern : "*");
        let found = this.#entries.filter(({ input }) => pattern.test(input));
        if (request.unique === true) {
          const last = new Map(found.map((one) => [one.input, one]));
          found = found.filter((one) => last.get(one.input) === one);
        }
        return lastOf(found, count);
      }
      default:
        return lastOf(this.#entries, count);
    }
  }
}

function lastOf(entries: Entry[], count: number): Entry[] {
  return entries.slice(Math.max(0, entries.length - count));
}

/** `*` any text, `?` any character, the rest as it stands. */
function glob(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^]*")
    .replaceAll("?", "[^]");
  return new RegExp(`^${source}$`, "u");
}
