// What a cell prints, gathered into few messages: sent after 50 ms or 64 KB, whichever comes first.
// In a loop that never lets go of the thread no timer fires, so every write looks at the clock as well.

export type StreamName = "stdout" | "stderr";

const delay = 50; // ms
const limit = 64 * 1024; // characters

export class Streams {
  readonly #publish: (name: StreamName, text: string) => void;
  #name: StreamName = "stdout";
  #parts: string[] = [];
  #length = 0;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(publish: (name: StreamName, text: string) => void) {
    this.#publish = publish;
  }

  write(name: StreamName, text: string): void {
    if (text === "") return;
    if (name !== this.#name) this.flush();
    this.#name = name;
    if (this.#parts.length === 0) {
      this.#since = performance.now();
      this.#timer = setTimeout(() => this.flush(), delay);
    }
    this.#parts.push(text);
    this.#length += text.length;
    if (this.#length >= limit || performance.now() - this.#since >= delay) this.flush();
  }

  flush(): void {
    if (this.#parts.length === 0) return;
    clearTimeout(this.#timer);
    const text = this.#parts.join("");
    this.#parts = [];
    this.#length = 0;
    this.#publish(this.#name, text);
  }
}
