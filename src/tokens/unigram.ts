// SentencePiece Unigram: of all ways to write a text in pieces, the one with the best sum of scores. Used by sentencepiece.ts.

import { type Piece, PieceKind } from "./sentencepiece-model.js";

/** What an unknown character costs beyond the worst piece, and what a piece of the user's gives, whatever its length. */
const UNKNOWN_PENALTY = 10;
const USER_DEFINED_SCORE = -0.1;
/**
 * Viterbi's search in sentencepiece's own arithmetic: sums rounded to f32 one by one, the first of equals kept.
 *
 * @see Kudo 2018, section 3.2, https://arxiv.org/abs/1804.10959; unigram_model.cc, EncodeOptimized
 */
export class UnigramPieces {
  readonly #next: Edges;
  /** Piece that ends at a node, or -1. */
  readonly #ends: number[] = [-1];
  readonly #scores: Float64Array;
  readonly #unknownScore: number;
  readonly #unknown: number;

  constructor(pieces: readonly Piece[], unknown: number) {
    this.#unknown = unknown;
    this.#scores = new Float64Array(pieces.length);
    this.#next = new Edges(pieces.reduce((sum, { text }) => sum + text.length, 1));
    let worst = Number.POSITIVE_INFINITY;
    for (const [id, { text, score, kind }] of pieces.entries()) {
      if (kind === PieceKind.normal) worst = Math.min(worst, score);
      if (kind !== PieceKind.normal && kind !== PieceKind.userDefined) continue;
      this.#scores[id] = kind === PieceKind.userDefined ? USER_DEFINED_SCORE : score;
      let node = 0;
      for (const char of text) {
        const point = char.codePointAt(0) as number;
        let next = this.#next.get(node, point);
        if (next === 0) {
          next = this.#ends.push(-1) - 1;
          this.#next.set(node, point, next);
        }
        node = next;
      }
      this.#ends[node] = id;
    }
    this.#unknownScore = Math.fround(worst - UNKNOWN_PENALTY);
  }

  /** Ids of the pieces of a text with the text of each; an unknown character is a piece of its own. */
  encode(text: string): { readonly id: number; readonly text: string }[] {
    const chars = [...text];
    const points = chars.map((char) => char.codePointAt(0) as number);
    const best = new Float32Array(points.length + 1);
    const from = new Int32Array(points.length + 1).fill(-1);
    const ids = new Int32Array(points.length + 1);
    const offer = (start: number, end: number, id: number, total: number) => {
      if (from[end] !== -1 && !(total > (best[end] as number))) return;
      best[end] = total;
      from[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < points.length; start++) {
      const before = best[start] as number;
      let node = 0;
      let alone = false;
      for (let end = start; end < points.length; ) {
        const next = this.#next.get(node, points[end] as number);
        if (next === 0) break;
        node = next;
        end += 1;
        const id = this.#ends[node] as number;
        if (id < 0) continue;
        offer(start, end, id, Math.fround((this.#scores[id] as number) + before));
        if (end === start + 1) alone = true;
      }
      if (!alone) offer(start, start + 1, this.#unknown, Math.fround(this.#unknownScore + before));
    }
    const found: { id: number; text: string }[] = [];
    for (let end = points.length; end > 0; end = from[end] as number)
      found.push({ id: ids[end] as number, text: chars.slice(from[end] as number, end).join("") });
    return found.reverse();
  }
}

/** (node, character) -> node of a trie whose root is 0, in open addressing: with a Map of 300,000 numbers encoding takes two to five times as long. */
class Edges {
  /** Node, character and next node, three numbers an edge; next is 0 where there is none. */
  readonly #table: Int32Array;
  readonly #mask: number;

  constructor(most: number) {
    const slots = 2 ** Math.ceil(Math.log2(2 * most + 2));
    this.#table = new Int32Array(3 * slots);
    this.#mask = slots - 1;
  }

  get(node: number, point: number): number {
    return this.#table[this.#slot(node, point) + 2] as number;
  }

  set(node: number, point: number, next: number): void {
    this.#table.set([node, point, next], this.#slot(node, point));
  }

  /** Where the edge is, or would be. */
  #slot(node: number, point: number): number {
    const table = this.#table;
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(point, 0x85ebca6b)) >>> 0;
    for (slot = (slot ^ (slot >>> 15)) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = 3 * slot;
      if (table[at + 2] === 0 || (table[at] === node && table[at + 1] === point)) return at;
    }
  }
}
