// Ends a text at the first of some strings, without ever giving out a part of one.

export class StopText {
  #held = "";
  /** Whether one of the strings was found; nothing follows then. */
  found = false;

  constructor(readonly stops: readonly string[]) {}

  /** The part of the text that is certain: what could still become a stop string is held back. */
  push(text: string): string {
    if (this.found) return "";
    const all = this.#held + text;
    const ends = this.stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0);
    if (ends.length > 0) {
      this.found = true;
      this.#held = "";
      return all.slice(0, Math.min(...ends));
    }
    const hold = Math.max(0, ...this.stops.map((stop) => overlap(all, stop)));
    this.#held = all.slice(all.length - hold);
    return all.slice(0, all.length - hold);
  }

  /** What was held back, once no text follows. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** Length of the longest end of `text` that `stop` begins with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
