// tokenizer.json, the format of Hugging Face's fast tokenizers, through their own library. Next to read: stream.ts.

import { Tokenizer as Library } from "@huggingface/tokenizers";
import { Borders } from "./borders.js";
import type { SpecialIds } from "./special.js";
import { type EncodeOptions, type Tokenizer, unknownId } from "./tokenizer.js";

type Json = Readonly<Record<string, unknown>>;

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
}

/** Ways to read a text that the library fixes when a tokenizer is made: each has a reader of its own over the one vocabulary. */
interface Reading {
  readonly special: boolean;
  readonly continuation: boolean;
}

export class JsonTokenizer implements Tokenizer {
  readonly vocab: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number;
  readonly #library: Library;
  readonly #json: Json;
  readonly #config: Json;
  readonly #cleanUp: boolean;
  /** Set where the library would take the whole text as one word, and need long for it. */
  readonly #borders: Borders | undefined;
  readonly #readers = new Map<string, Library>();

  /**
   * @param json - tokenizer.json, parsed.
   * @param config - tokenizer_config.json, parsed, or {}.
   * @param resolve - Special ids, given the vocabulary's size and a look-up by text.
   */
  constructor(
    json: Json,
    config: Json,
    resolve: (vocab: number, idOf: (text: string) => number | undefined) => SpecialIds,
  ) {
    this.#json = json;
    this.#config = config;
    this.#library = new Library(json, config);
    const tokens = (this.#library.model as unknown as { readonly vocab: readonly string[] }).vocab;
    this.vocab = tokens.length;
    this.#borders = takesWholeText(json) ? new Borders(tokens) : undefined;
    ({ bos: this.bos, eos: this.eos, pad: this.pad } = resolve(this.vocab, (text) => this.#library.token_to_id(text)));
    this.#cleanUp = config.clean_up_tokenization_spaces === true;
  }

  encode(
    text: string,
    { bos = false, eos = false, continuation = false, special = false }: EncodeOptions = {},
  ): number[] {
    const ids = bos && this.bos !== undefined ? [this.bos] : [];
    if (text !== "") {
      const found = this.#reader({ special, continuation }).encode(text.replace(/\p{Surrogate}/gu, "\ufffd"), {
        add_special_tokens: false,
      }).ids;
      for (const id of found) ids.push(id);
    }
    if (eos && this.eos !== undefined) ids.push(this.eos);
    return ids;
  }

  /** The library's objects for one way of reading. Only normalizers and lists of added tokens differ: the model is shared. */
  #reader({ special, continuation }: Reading): Library {
    const key = `${special} ${continuation}`;
    const kept = this.#readers.get(key);
    if (kept) return kept;
    const added = this.#json.added_tokens as readonly AddedToken[];
    const reader = new Library(
      {
        ...this.#json,
        model: { type: "BPE", vocab: {}, merges: [] },
        added_tokens: special ? added : added.filter((token) => token.special !== true),
        normalizer: continuation ? withoutPrefix(this.#json.normalizer) : this.#json.normalizer,
        pre_tokenizer: continuation ? withoutPrefix(this.#json.pre_tokenizer) : this.#json.pre_tokenizer,
      },
      this.#config,
    );
    reader.model = this.#library.model;
    if (this.#borders) reader.pre_tokenizer = cutting(reader.pre_tokenizer, this.#borders);
    this.#readers.set(key, reader);
    return reader;
  }

  decode(ids: readonly number[], { skipSpecial = true }: { readonly skipSpecial?: boolean } = {}): string {
    const known = ids.filter((id) => this.#library.id_to_token(id) !== undefined);
    if (known.length === 0) return ids.map(unknownId).join("");
    if (known.length < ids.length) {
      const at = ids.findIndex((id) => this.#library.id_to_token(id) === undefined);
      const rest = this.decode(ids.slice(at + 1), { skipSpecial });
      return this.decode(ids.slice(0, at), { skipSpecial }) + unknownId(ids[at] as number) + rest;
    }
    return this.#library.decode(known, {
      skip_special_tokens: skipSpecial,
      clean_up_tokenization_spaces: this.#cleanUp,
    });
  }

  tokenText(id: number): string {
    return this.#library.id_to_token(id) ?? unknownId(id);
  }
}

/** Whether merges run over whole texts: BPE with nothing that splits words before it, and nothing that looks at whole words. */
function takesWholeText(json: Json): boolean {
  const model = json.model as {
    type?: unknown;
    ignore_merges?: unknown;
    end_of_word_suffix?: unknown;
    continuing_subword_suffix?: unknown;
  };
  const before = json.pre_tokenizer as { type?: unknown } | null;
  const plain = !model.ignore_merges && !model.end_of_word_suffix && !model.continuing_subword_suffix;
  return model.type === "BPE" && plain && (before === null || before.type === "Metaspace");
}

type PreTokenizer = Library["pre_tokenizer"];

/** A pre-tokenizer, then cuts where no merge can cross. The library calls it as a function. */
function cutting(before: PreTokenizer, borders: Borders): PreTokenizer {
  const cut = (text: string, options: unknown) => {
    const texts = before ? (before as unknown as (text: string, options: unknown) => string[])(text, options) : [text];
    return texts.flatMap((one) => borders.cut(one));
  };
  return cut as unknown as PreTokenizer;
}

/** A normalizer or pre-tokenizer that puts no space before the text. */
function withoutPrefix(step: unknown): unknown {
  if (typeof step !== "object" || step === null) return step;
  const { type } = step as { type?: unknown };
  if (type === "Prepend") return null;
  if (type === "Metaspace") return { ...step, prepend_scheme: "never", add_prefix_space: false };
  if (type === "ByteLevel") return { ...step, add_prefix_space: false };
  if (type !== "Sequence") return step;
  const inner = step as { normalizers?: unknown[]; pretokenizers?: unknown[] };
  const kept = (steps: unknown[]) => steps.map(withoutPrefix).filter((one) => one !== null);
  if (inner.normalizers) return { ...inner, normalizers: kept(inner.normalizers) };
  return { ...inner, pretokenizers: kept(inner.pretokenizers ?? []) };
}
