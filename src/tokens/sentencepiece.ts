// SentencePiece: texts normalized and cut into the pieces of a .model file, by BPE here, by Unigram in unigram.ts.
// Next to read: stream.ts, ids that arrive one by one.

import { Borders } from "./borders.js";
import { CharsMap } from "./chars-map.js";
import { type Piece, PieceKind, type SentencePieceModel } from "./sentencepiece-model.js";
import type { SpecialIds } from "./special.js";
import { type EncodeOptions, type Tokenizer, unknownId } from "./tokenizer.js";
import { UnigramPieces } from "./unigram.js";

const SPACE = "▁"; // U+2581, how pieces write a space
const MAX_CACHED = 50_000; // segments; about 10 MB

export interface SentencePieceOptions {
  readonly file?: string;
  /** After a special token a text begins anew, with a space put before it, as transformers' T5 does unless told otherwise. @default false */
  readonly freshAfterSpecial?: boolean;
}

/**
 * Encodes as sentencepiece does. BPE: characters, then the adjacent pair whose piece has the highest score becomes one, leftmost first
 * among equals, until none is left; what is no piece becomes bytes, or the unknown token.
 *
 * Text is first cut where no merge can cross (borders.ts); segments, mostly words, are looked up when they come again.
 */
export class SentencePieceTokenizer implements Tokenizer {
  readonly vocab: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number;
  readonly #model: SentencePieceModel;
  /** Pieces that merges can make. */
  readonly #ids = new Map<string, number>();
  readonly #bytes = new Map<number, number>();
  /** Set for BPE. */
  readonly #borders: Borders | undefined;
  /** Set for Unigram. */
  readonly #unigram: UnigramPieces | undefined;
  readonly #charsMap: CharsMap | undefined;
  readonly #fresh: boolean;
  readonly #cache = new Map<string, readonly number[]>();
  readonly #userDefined: RegExp | undefined;
  readonly #special: RegExp | undefined;
  readonly #specialIds = new Map<string, number>();

  constructor(
    model: SentencePieceModel,
    special: SpecialIds,
    { file = "tokenizer.model", freshAfterSpecial = false }: SentencePieceOptions = {},
  ) {
    this.#model = model;
    this.#fresh = freshAfterSpecial;
    this.vocab = model.pieces.length;
    ({ bos: this.bos, eos: this.eos, pad: this.pad } = special);
    const userDefined: string[] = [];
    for (const [id, { text, kind }] of model.pieces.entries()) {
      if (kind === PieceKind.byte) this.#bytes.set(Number.parseInt(text.slice(3, 5), 16), id);
      else if (kind === PieceKind.control || kind === PieceKind.unknown) this.#specialIds.set(text, id);
      else this.#ids.set(text, id);
      if (kind === PieceKind.userDefined) userDefined.push(text);
    }
    if (model.kind === "unigram") this.#unigram = new UnigramPieces(model.pieces, model.unk);
    else this.#borders = new Borders(this.#ids.keys());
    this.#charsMap = model.charsMap && new CharsMap(model.charsMap, file);
    this.#userDefined = anyOf(userDefined);
    this.#special = anyOf([...this.#specialIds.keys()].filter((text) => text !== ""));
  }

  encode(
    text: string,
    { bos = false, eos = false, continuation = false, special = false }: EncodeOptions = {},
  ): number[] {
    const ids: number[] = [];
    if (bos && this.bos !== undefined) ids.push(this.bos);
    const parts = special && this.#special ? text.split(this.#special) : [text];
    for (const [i, part] of parts.entries()) {
      if (i % 2 === 1) ids.push(this.#specialIds.get(part) as number);
      else this.#encodeText(part, continuation || (i > 0 && !this.#fresh), ids);
    }
    if (eos && this.eos !== undefined) ids.push(this.eos);
    return ids;
  }

  #encodeText(text: string, continuation: boolean, ids: number[]): void {
    const { dummyPrefix, squeezeSpaces } = this.#model;
    let normal = this.#normalized(text.replace(/\p{Surrogate}/gu, "\ufffd"));
    if (squeezeSpaces) normal = normal.replace(/ +/g, " ").replace(continuation ? "" : /^ /, "");
    if (normal === "") return;
    normal = (dummyPrefix && !continuation ? ` ${normal}` : normal).replaceAll(" ", SPACE);
    if (squeezeSpaces) normal = normal.replace(/▁+$/, ""); // sentencepiece takes off an escaped space in the text, too
    if (this.#unigram) {
      this.#push(
        this.#unigram
          .encode(normal)
          .flatMap((piece) => (piece.id === this.#model.unk ? this.#unknown(piece.text) : piece.id)),
        ids,
      );
      return;
    }
    const parts = this.#userDefined ? normal.split(this.#userDefined) : [normal];
    for (const [i, part] of parts.entries()) {
      if (i % 2 === 1) ids.push(this.#ids.get(part) as number);
      else for (const segment of (this.#borders as Borders).cut(part)) this.#encodeSegment(segment, ids);
    }
  }

  /** By the model's rules, but for the user's pieces, which stay as they are. */
  #normalized(text: string): string {
    const map = this.#charsMap;
    if (!map) return text;
    const parts = this.#userDefined ? text.split(this.#userDefined) : [text];
    return parts.map((part, i) => (i % 2 === 1 ? part : map.apply(part))).join("");
  }

  #encodeSegment(segment: string, ids: number[]): void {
    let found = this.#cache.get(segment);
    if (!found) {
      found = this.#idsOf(mergeSegment(segment, this.#ids, this.#model.pieces));
      if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
      this.#cache.set(segment, found);
    }
    this.#push(found, ids);
  }

  #push(found: readonly number[], ids: number[]): void {
    const { unk, byteFallback } = this.#model;
    for (const id of found) {
      // A run of unknown characters is one unknown token.
      if (id !== unk || byteFallback || ids.at(-1) !== unk) ids.push(id);
    }
  }

  #idsOf(pieces: readonly string[]): number[] {
    return pieces.flatMap((piece) => {
      const id = this.#ids.get(piece);
      if (id !== undefined) return [id];
      return this.#unknown(piece);
    });
  }

  #unknown(text: string): number[] {
    if (!this.#model.byteFallback) return [this.#model.unk];
    return [...new TextEncoder().encode(text)].map((byte) => this.#bytes.get(byte) ?? this.#model.unk);
  }

  decode(ids: readonly number[], { skipSpecial = true }: { readonly skipSpecial?: boolean } = {}): string {
    let text = "";
    let bytes: number[] = [];
    const endBytes = () => {
      if (bytes.length === 0) return;
      text += new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
      bytes = [];
    };
    for (const id of ids) {
      const piece = this.#model.pieces[id];
      if (piece?.kind === PieceKind.byte) {
        bytes.push(Number.parseInt(piece.text.slice(3, 5), 16));
        continue;
      }
      endBytes();
      if (piece === undefined) text += unknownId(id);
      else if (piece.kind !== PieceKind.control && piece.kind !== PieceKind.unknown)
        text += piece.text.replaceAll(SPACE, " ");
      else if (!skipSpecial) text += piece.text;
    }
    endBytes();
    return this.#model.dummyPrefix && text.startsWith(" ") ? text.slice(1) : text;
  }

  tokenText(id: number): string {
    return this.#model.pieces[id]?.text ?? unknownId(id);
  }
}

/** Matches the longest of some texts; `split` keeps the matches at odd places. */
function anyOf(texts: readonly string[]): RegExp | undefined {
  if (texts.length === 0) return undefined;
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(`(${longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|")})`);
}

/** A pair that could become one piece. */
interface Merge {
  readonly left: number;
  readonly right: number;
  readonly text: string;
  readonly score: number;
}

/** The pieces of a segment after all merges. Unused pieces take part in merges and are then taken apart again. */
function mergeSegment(segment: string, ids: ReadonlyMap<string, number>, pieces: readonly Piece[]): string[] {
  const symbols = [...segment];
  const next = symbols.map((_, i) => i + 1);
  const previous = symbols.map((_, i) => i - 1);
  const heap: Merge[] = [];
  const halves = new Map<string, readonly [string, string]>();
  const consider = (left: number, right: number) => {
    if (left < 0 || right >= symbols.length) return;
    const text = (symbols[left] as string) + (symbols[right] as string);
    const piece = pieces[ids.get(text) ?? -1];
    if (piece === undefined) return;
    if (piece.kind === PieceKind.unused) halves.set(text, [symbols[left] as string, symbols[right] as string]);
    push(heap, { left, right, text, score: piece.score });
  };
  for (let i = 1; i < symbols.length; i++) consider(i - 1, i);
  for (let best = pop(heap); best; best = pop(heap)) {
    const { left, right, text } = best;
    // A symbol that was merged away is empty; one that grew no longer spells the pair.
    if (symbols[left] === "" || symbols[right] === "") continue;
    if ((symbols[left] as string).length + (symbols[right] as string).length !== text.length) continue;
    symbols[left] = text;
    symbols[right] = "";
    next[left] = next[right] as number;
    if ((next[left] as number) < symbols.length) previous[next[left] as number] = left;
    consider(previous[left] as number, left);
    consider(left, next[left] as number);
  }
  const unmerge = (text: string): string[] => {
    const half = pieces[ids.get(text) ?? -1]?.kind === PieceKind.unused ? halves.get(text) : undefined;
    return half ? [...unmerge(half[0]), ...unmerge(half[1])] : [text];
  };
  return symbols.filter((symbol) => symbol !== "").flatMap(unmerge);
}

function isBefore(a: Merge, b: Merge): boolean {
  return a.score > b.score || (a.score === b.score && a.left < b.left);
}

/** Binary heap, the best merge on top. */
function push(heap: Merge[], merge: Merge): void {
  let at = heap.push(merge) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(merge, heap[parent] as Merge)) break;
    heap[at] = heap[parent] as Merge;
    at = parent;
  }
  heap[at] = merge;
}

function pop(heap: Merge[]): Merge | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Merge, heap[child] as Merge)) child += 1;
    if (!isBefore(heap[child] as Merge, last)) break;
    heap[at] = heap[child] as Merge;
    at = child;
  }
  heap[at] = last;
  return top;
}
