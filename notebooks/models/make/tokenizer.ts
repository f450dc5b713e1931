// Trains the tutor's tokenizer: byte-pair merges inside words, every Chinese character and every digit a token of its own,
// bytes for whatever else comes. Written in the tokenizer.json format. Next to read: main.ts.

/** What separates words when merges are learnt; no merge crosses it, so the same text always gives the same tokens. */
const piecePattern = /▁?[A-Za-z]+|▁?[-+=]|#+|\n+|:\n?|./gsu;

const specials = ["<unk>", "<s>", "</s>"] as const;

/** The model of the tutor's tokenizer as it stands in tokenizer.json. */
export interface TokenizerFile {
  readonly version: "1.0";
  readonly truncation: null;
  readonly padding: null;
  readonly added_tokens: readonly unknown[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: null;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: {
    readonly type: "BPE";
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly [string, string][];
  } & Readonly<Record<string, unknown>>;
}

/** How often each word of the texts occurs, with spaces written as ▁. */
function countPieces(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [piece] of text.replaceAll(" ", "▁").matchAll(piecePattern))
      counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  return counts;
}

/** The pair of neighbours that occurs most; of equals the one that sorts first, so that the result is the same everywhere. */
function mostFrequentPair(
  pieces: readonly { symbols: string[]; count: number }[],
): { pair: [string, string]; count: number } | undefined {
  const counts = new Map<string, number>();
  for (const { symbols, count } of pieces) {
    for (let i = 0; i + 1 < symbols.length; i++) {
      const key = `${symbols[i]} ${symbols[i + 1]}`;
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  let best: { key: string; count: number } | undefined;
  for (const [key, count] of counts) {
    if (!best || count > best.count || (count === best.count && key < best.key)) best = { key, count };
  }
  return best && { pair: best.key.split(" ") as [string, string], count: best.count };
}

function merge(symbols: string[], [left, right]: readonly [string, string]): void {
  for (let i = 0; i + 1 < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right);
  }
}

/**
 * Learn a vocabulary of at most `size` tokens from `texts`; a merge must have been seen `least` times.
 *
 * @throws RangeError when the single characters of the texts alone do not fit into `size`.
 */
export function trainTokenizer(texts: Iterable<string>, size: number, least = 20): TokenizerFile {
  const counts = countPieces(texts);
  const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).filter(
    (character) => character !== " ",
  );
  const characters = new Set(["▁", "\n", ...ascii, ...[...counts.keys()].flatMap((piece) => [...piece]).sort()]);
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const vocabulary: string[] = [...specials, ...bytes, ...characters];
  if (vocabulary.length > size) {
    throw new RangeError(
      `trainTokenizer: ${vocabulary.length} single tokens do not fit into a vocabulary of ${size}: raise the size`,
    );
  }
  const pieces = [...counts].map(([piece, count]) => ({ symbols: [...piece], count }));
  const merges: [string, string][] = [];
  while (vocabulary.length < size) {
    const best = mostFrequentPair(pieces);
    if (!best || best.count < least) break;
    merges.push(best.pair);
    const joined = best.pair.join("");
    if (!vocabulary.includes(joined)) vocabulary.push(joined);
    for (const { symbols } of pieces) merge(symbols, best.pair);
  }
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [
        { SpecialToken: { id: "<s>", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { SpecialToken: { id: "<s>", type_id: 1 } },
        { Sequence: { id: "B", type_id: 1 } },
      ],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** tokenizer_config.json beside it, for other libraries. */
export function tokenizerConfig(maxTokens: number): Record<string, unknown> {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    add_bos_token: true,
    add_eos_token: false,
    bos_token: "<s>",
    eos_token: "</s>",
    unk_token: "<unk>",
    clean_up_tokenization_spaces: false,
    model_max_length: maxTokens,
  };
}
