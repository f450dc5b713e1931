// The rules of a SentencePiece normalizer such as nmt_nfkc: a trie of byte sequences and what each becomes. Used by sentencepiece.ts.

import { TokenizerError } from "./error.js";

/** A node of the trie, as the double array of darts-clone packs it into 32 bits. */
const hasLeaf = (node: number) => ((node >>> 8) & 1) === 1;
const textOf = (node: number) => node & 0x7fffffff;
const labelOf = (node: number) => node & 0x800000ff;
const offsetOf = (node: number) => (node >>> 10) << ((node & 0x200) >>> 6);

/**
 * Replaces, from left to right, the longest sequence of bytes that has a rule. What has none stays.
 *
 * @see https://github.com/google/sentencepiece/blob/master/src/normalizer.cc, NormalizePrefix
 */
export class CharsMap {
  readonly #trie: Uint32Array;
  /** Replacements, each ended by a zero byte. */
  readonly #texts: Uint8Array;

  /**
   * @param bytes - `precompiled_charsmap`: bytes of the trie, the trie, the replacements.
   * @throws TokenizerError when the sizes do not fit.
   */
  constructor(bytes: Uint8Array, file: string) {
    const trieBytes = bytes.length < 4 ? -1 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (trieBytes < 4 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length)
      throw new TokenizerError(file, "the rules of its normalizer are damaged: download it again");
    this.#trie = new Uint32Array(new Uint8Array(bytes.subarray(4, 4 + trieBytes)).buffer);
    this.#texts = new Uint8Array(bytes.subarray(4 + trieBytes));
  }

  apply(text: string): string {
    const bytes = Buffer.from(text, "utf8");
    const parts: Uint8Array[] = [];
    let kept = 0;
    for (let at = 0; at < bytes.length; ) {
      const rule = this.#longest(bytes, at);
      if (rule) {
        if (at > kept) parts.push(bytes.subarray(kept, at));
        const end = this.#texts.indexOf(0, rule.text);
        parts.push(this.#texts.subarray(rule.text, end < 0 ? this.#texts.length : end));
        at += rule.length;
        kept = at;
      } else {
        const first = bytes[at] as number;
        at += first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
      }
    }
    if (parts.length === 0) return text;
    parts.push(bytes.subarray(kept));
    return Buffer.concat(parts).toString("utf8");
  }

  /** The longest rule at a place: its bytes, and where its replacement begins. */
  #longest(bytes: Uint8Array, from: number): { readonly length: number; readonly text: number } | undefined {
    const trie = this.#trie;
    let found: { length: number; text: number } | undefined;
    let node = trie[0] as number;
    let place = offsetOf(node);
    for (let at = from; at < bytes.length; at++) {
      place ^= bytes[at] as number;
      node = trie[place] ?? 0xffffffff;
      if (labelOf(node) !== bytes[at]) break;
      place ^= offsetOf(node);
      if (hasLeaf(node)) found = { length: at + 1 - from, text: textOf(trie[place] ?? 0) };
    }
    return found;
  }
}
