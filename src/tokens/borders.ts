// Places where a text can be cut without changing its tokens. Used by both tokenizers of BPE.

/**
 * Two characters that stand side by side in no token of the vocabulary cannot end up in one token, so no merge crosses
 * between them: the parts can be encoded alone. Long texts then take linear time, and parts, mostly words, come again.
 */
export class Borders {
  readonly #pairs = new Set<string>();

  /** @param tokens - Every text that merges can make. More do no harm. */
  constructor(tokens: Iterable<string>) {
    for (const token of tokens) {
      let before = "";
      for (const char of token) {
        if (before !== "") this.#pairs.add(before + char);
        before = char;
      }
    }
  }

  /** The text in parts, in order, none of them empty. */
  cut(text: string): string[] {
    const parts: string[] = [];
    let start = 0;
    let at = 0;
    let before = "";
    for (const char of text) {
      if (at > 0 && !this.#pairs.has(before + char)) {
        parts.push(text.slice(start, at));
        start = at;
      }
      before = char;
      at += char.length;
    }
    if (at > start) parts.push(text.slice(start));
    return parts;
  }
}
