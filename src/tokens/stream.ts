// Ids that arrive one by one -> text that will not change any more.

import type { Tokenizer } from "./tokenizer.js";

/**
 * Turns generated ids into text as they come. All pieces together are what `tokenizer.decode` gives for all ids at once;
 * a character of several tokens is held back until it is whole.
 */
export class StreamDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecial: boolean;
  /** Ids whose text is still needed to place the next: those given out last, then those held back. */
  #ids: number[];
  #given: number;

  /**
   * @param after - Ids of the text that the stream goes on from, so that a space before its first word is kept.
   */
  constructor(
    tokenizer: Tokenizer,
    { after = [], skipSpecial = true }: { readonly after?: readonly number[]; readonly skipSpecial?: boolean } = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#skipSpecial = skipSpecial;
    this.#ids = after.slice(-CONTEXT);
    this.#given = this.#ids.length;
  }

  /** Text that is certain once this id is known; often "" in the middle of a character. */
  push(id: number): string {
    this.#ids.push(id);
    const text = this.#new();
    if (text === "" || text.endsWith("\ufffd")) return "";
    this.#keep();
    return text;
  }

  /** What is still held back; bytes that never became a character show as U+FFFD. */
  flush(): string {
    const text = this.#new();
    this.#keep();
    return text;
  }

  /** Text of the ids not given out yet: what they add to the text of those before them. */
  #new(): string {
    const options = { skipSpecial: this.#skipSpecial };
    const before = this.#tokenizer.decode(this.#ids.slice(0, this.#given), options);
    return this.#tokenizer.decode(this.#ids, options).slice(before.length);
  }

  #keep(): void {
    this.#ids = this.#ids.slice(Math.min(this.#given, Math.max(0, this.#ids.length - CONTEXT)));
    this.#given = this.#ids.length;
  }
}

/** Ids kept to decode the next ones after. Enough for the bytes of one character and a neighbour. */
const CONTEXT = 6;
