// ChatGLM-6B's tokenizer: a SentencePiece Unigram model, and rules of its own around it for line ends, tabs and runs of spaces.

import type { EncodeOptions, Tokenizer } from "./tokenizer.js";

/** The longest run of spaces that is one token. */
const MAX_BLANKS = 80;

/**
 * Line ends, tabs and runs of 2 to 80 spaces are tokens of their own, written so before the text is encoded and back after it is decoded.
 * Older checkpoints have ids of image tokens first: every id is that many higher.
 *
 * @see https://huggingface.co/THUDM/chatglm-6b/blob/main/tokenization_chatglm.py
 */
export class ChatGlmTokenizer implements Tokenizer {
  readonly vocab: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number;

  /**
   * @param pieces - The tokenizer of ice_text.model alone, its special tokens as they are there.
   * @param imageTokens - 20000 in checkpoints from before April 2023, else 0.
   */
  constructor(
    private readonly pieces: Tokenizer,
    readonly imageTokens: number,
  ) {
    this.vocab = pieces.vocab + imageTokens;
    const moved = (id: number | undefined) => (id === undefined ? undefined : id + imageTokens);
    this.bos = moved(pieces.bos);
    this.eos = moved(pieces.eos);
    this.pad = pieces.pad + imageTokens;
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    const written = text
      .replaceAll("\n", "<n>")
      .replaceAll("\t", "<|tab|>")
      .replace(/ {2,80}/g, (blanks) => `<|blank_${blanks.length}|>`);
    return this.pieces.encode(written, options).map((id) => id + this.imageTokens);
  }

  decode(ids: readonly number[], options?: { readonly skipSpecial?: boolean }): string {
    const inner = ids.filter((id) => id >= this.imageTokens).map((id) => id - this.imageTokens);
    return this.pieces
      .decode(inner, options)
      .replaceAll("<n>", "\n")
      .replaceAll("<|tab|>", "\t")
      .replace(/<\|blank_(\d\d?)\|>/g, (written, blanks) =>
        Number(blanks) <= MAX_BLANKS ? " ".repeat(Number(blanks)) : written,
      );
  }

  tokenText(id: number): string {
    return id < this.imageTokens ? `<image_${id}>` : this.pieces.tokenText(id - this.imageTokens);
  }
}
