// A model folder -> its tokenizer. Next to read: template.ts, which rows become which ids.

import { stat } from "node:fs/promises";
import path from "node:path";
import { decodeUtf8 } from "../data/file.js";
import { ChatGlmTokenizer } from "./chatglm.js";
import { TokenizerError } from "./error.js";
import { readLlama2cTokenizer } from "./llama2c.js";
import { SentencePieceTokenizer } from "./sentencepiece.js";
import { type Piece, PieceKind, readSentencePieceModel, type SentencePieceModel } from "./sentencepiece-model.js";
import { readBytes, readJsonObject, readTokenizerSettings, resolveSpecial, type TokenizerSettings } from "./special.js";
import type { Tokenizer } from "./tokenizer.js";
import { JsonTokenizer } from "./tokenizer-json.js";

/**
 * The tokenizer of a model folder: tokenizer.json, else SentencePiece's tokenizer.model, T5's
 * spiece.model or ChatGLM's ice_text.model, else llama2.c's tokenizer.bin, else vocab.json with merges.txt.
 * Special tokens come from tokenizer_config.json and special_tokens_map.json, then the vocabulary itself, then config.json.
 *
 * @throws TokenizerError when the folder or the files are missing, broken, or of a kind that is not supported.
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const settings = await readTokenizerSettings(folder);
  const json = await readJsonObject(path.join(folder, "tokenizer.json"));
  if (json) return jsonTokenizer(path.join(folder, "tokenizer.json"), json, settings);
  for (const name of ["tokenizer.model", "spiece.model", "ice_text.model", "tokenizer.bin"]) {
    const model = path.join(folder, name);
    const bytes = await readBytes(model);
    if (!bytes) continue;
    if (name === "ice_text.model") return chatGlmTokenizer(model, bytes, settings);
    return sentencePieceTokenizer(model, bytes, settings);
  }
  const merges = await readBytes(path.join(folder, "merges.txt"));
  const vocab = await readJsonObject(path.join(folder, "vocab.json"));
  if (merges && vocab) {
    const own = { bos: vocab[GPT2_END] as number | undefined, eos: vocab[GPT2_END] as number | undefined };
    return jsonTokenizer(path.join(folder, "vocab.json"), byteLevelJson(vocab, decodeUtf8(merges)), settings, own);
  }
  await stat(folder).catch((cause: unknown) => {
    throw new TokenizerError(folder, "there is no such folder", { cause });
  });
  throw new TokenizerError(
    folder,
    "expected tokenizer.json, tokenizer.model, spiece.model, ice_text.model, tokenizer.bin, or vocab.json with merges.txt in this folder, found none",
  );
}

const GPT2_END = "<|endoftext|>";

function jsonTokenizer(
  file: string,
  json: Record<string, unknown>,
  settings: TokenizerSettings,
  own?: { readonly bos: number | undefined; readonly eos: number | undefined },
): Tokenizer {
  const { model } = json;
  if (typeof model !== "object" || model === null || !Array.isArray(json.added_tokens ?? [])) {
    throw new TokenizerError(file, "expected `model` and `added_tokens`, as Hugging Face's tokenizers write them");
  }
  const whole = {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    added_tokens: [],
    ...json,
  };
  try {
    return new JsonTokenizer(whole, settings.config, (vocab, idOf) => resolveSpecial(settings, vocab, idOf, own));
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    throw new TokenizerError(file, `not supported: ${(cause as Error).message}`, { cause });
  }
}

function sentencePieceTokenizer(file: string, bytes: Uint8Array, settings: TokenizerSettings): Tokenizer {
  const isLlama2c = path.basename(file) === "tokenizer.bin";
  const read = isLlama2c ? readLlama2cTokenizer(bytes, file) : readSentencePieceModel(bytes, file);
  const isT5 = path.basename(file) === "spiece.model";
  const sentinels = isT5 ? sentinelPieces(settings) : [];
  const extended = { ...read, pieces: [...read.pieces, ...sentinels] };
  const model = { ...extended, pieces: [...extended.pieces, ...addedPieces(file, extended, settings)] };
  const ids = new Map(model.pieces.map(({ text }, id) => [text, id]));
  const { bos, eos, pad, unk } = model;
  const special = resolveSpecial(settings, model.pieces.length, (text) => ids.get(text), { bos, eos, pad, unk });
  return new SentencePieceTokenizer(model, special, {
    file,
    freshAfterSpecial: isT5 && settings.config["legacy"] !== false,
  });
}

/** T5's tokens for what was left out, last first: <extra_id_0> has the highest id. */
function sentinelPieces({ config }: TokenizerSettings): Piece[] {
  const { extra_ids: count = 100 } = config;
  const length = Number.isSafeInteger(count) && (count as number) >= 0 ? (count as number) : 100;
  return Array.from({ length }, (_, i) => ({
    text: `<extra_id_${length - 1 - i}>`,
    score: 0,
    kind: PieceKind.control,
  }));
}

/** Special tokens of ChatGLM-6B where tokenizer_config.json is missing, and where its vocabulary had image tokens. */
const GLM_NAMES = { bos: "<sop>", eos: "<eop>", pad: "<pad>", unk: "<unk>" } as const;
const GLM_IMAGE_TOKENS = 20000;

function chatGlmTokenizer(file: string, bytes: Uint8Array, settings: TokenizerSettings): Tokenizer {
  const model = readSentencePieceModel(bytes, file);
  const ids = new Map(model.pieces.map(({ text }, id) => [text, id]));
  const stated = settings.config["num_image_tokens"];
  // Files from before the field was there have ids that lie beyond the pieces.
  const images = Number.isSafeInteger(stated)
    ? (stated as number)
    : (settings.ids.eos ?? 0) >= model.pieces.length
      ? GLM_IMAGE_TOKENS
      : 0;
  const own = Object.fromEntries(Object.entries(GLM_NAMES).map(([role, text]) => [role, ids.get(text)]));
  // The ids of config.json count the image tokens; those of the names do not.
  const special = resolveSpecial({ ...settings, ids: {} }, model.pieces.length, (text) => ids.get(text), own);
  return new ChatGlmTokenizer(new SentencePieceTokenizer(model, special, { file }), images);
}

/** Tokens that tokenizer_config.json adds after the pieces of the model, such as "[PAD]". */
function addedPieces(file: string, { pieces }: SentencePieceModel, { config }: TokenizerSettings): Piece[] {
  const added = Object.entries(
    (config.added_tokens_decoder ?? {}) as Record<string, { content?: unknown; special?: unknown }>,
  )
    .map(([id, { content, special }]) => ({ id: Number(id), text: String(content), special: special === true }))
    .filter(({ id }) => id >= pieces.length)
    .sort((a, b) => a.id - b.id);
  for (const [i, { id, text }] of added.entries()) {
    if (id !== pieces.length + i) {
      throw new TokenizerError(
        file,
        `has ${pieces.length} pieces, but tokenizer_config.json adds "${text}" as ${id}, expected ${pieces.length + i}`,
      );
    }
  }
  return added.map(({ text, special }) => ({
    text,
    score: 0,
    kind: special ? PieceKind.control : PieceKind.userDefined,
  }));
}

/** GPT-2's two files as the tokenizer.json they amount to. */
function byteLevelJson(vocab: Record<string, unknown>, merges: string): Record<string, unknown> {
  const lines = merges.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#version"));
  return {
    model: {
      type: "BPE",
      vocab,
      merges: lines,
      unk_token: null,
      continuing_subword_suffix: null,
      end_of_word_suffix: null,
    },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    added_tokens:
      GPT2_END in vocab ? [{ id: vocab[GPT2_END], content: GPT2_END, special: true, normalized: false }] : [],
  };
}
