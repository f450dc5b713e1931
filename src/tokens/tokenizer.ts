// Text <-> token ids: what every tokenizer does. Next to read: load.ts, where one comes from; template.ts, rows into ids.

export interface EncodeOptions {
  /** Put the begin token first, where the tokenizer has one. @default false */
  readonly bos?: boolean;
  /** Put the end token last, where the tokenizer has one. @default false */
  readonly eos?: boolean;
  /**
   * The text goes on from text before it: SentencePiece's space at the start of every text is left out, so that
   * encode(a) followed by encode(b, { continuation: true }) are the ids of a + b, unless a token spans the border.
   * @default false
   */
  readonly continuation?: boolean;
  /**
   * Read special tokens written in the text, such as "</s>", as the tokens themselves. Off, they are ordinary text:
   * what a user or a dataset writes cannot end an answer.
   * @default false
   */
  readonly special?: boolean;
}

export interface Tokenizer {
  /** Number of ids: every id is below it. A model's embedding may have more rows. */
  readonly vocab: number;
  /** Begins a text; undefined where texts begin without one. */
  readonly bos: number | undefined;
  /** Ends a text. */
  readonly eos: number | undefined;
  /** Fills rows of a batch: the pad token, else the unknown token, else the end token. Nothing ever trains on padding. */
  readonly pad: number;
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * Ids to text. A character whose bytes are not all there shows as U+FFFD (see StreamDecoder), an id that
   * the tokenizer does not have as `<id 32000>`.
   */
  decode(ids: readonly number[], options?: { /** @default true */ readonly skipSpecial?: boolean }): string;
  /** The token as its vocabulary writes it, such as "▁Hello" or "<0x0A>". */
  tokenText(id: number): string;
}

/** How a token that does not exist is shown. */
export function unknownId(id: number): string {
  return `<id ${id}>`;
}
