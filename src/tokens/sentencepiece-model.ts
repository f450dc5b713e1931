// A SentencePiece .model file: its pieces and settings. Next to read: sentencepiece.ts, which encodes with them.

import Pbf from "pbf";
import { TokenizerError } from "./error.js";

/** Codes as in sentencepiece_model.proto. */
export const PieceKind = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface Piece {
  readonly text: string;
  /** Higher merges first. */
  readonly score: number;
  /** One of PieceKind. */
  readonly kind: number;
}

export interface SentencePieceModel {
  /** How pieces are chosen: by merges in the order of scores, or by the best sum of scores. */
  readonly kind: "bpe" | "unigram";
  /** Rules that texts are normalized by, such as NFKC; undefined where texts stay as they are. */
  readonly charsMap: Uint8Array | undefined;
  readonly pieces: readonly Piece[];
  readonly byteFallback: boolean;
  /** Every text begins with a space, so that a word is the same token at the start and in the middle. */
  readonly dummyPrefix: boolean;
  /** Runs of spaces become one, and none is left at the ends. */
  readonly squeezeSpaces: boolean;
  readonly bos: number;
  readonly eos: number;
  readonly unk: number;
  readonly pad: number;
}

const modelTypes = ["", "UNIGRAM", "BPE", "WORD", "CHAR"];

/**
 * Read a SentencePiece model of type BPE or Unigram.
 *
 * @throws TokenizerError when the bytes are no such model, or it needs something that is not built: another type, spaces as suffixes.
 * @see https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
 */
export function readSentencePieceModel(bytes: Uint8Array, file: string): SentencePieceModel {
  const model = {
    pieces: [] as Piece[],
    type: 1,
    byteFallback: false,
    dummyPrefix: true,
    squeezeSpaces: true,
    escape: true,
    suffix: false,
    kind: "bpe" as SentencePieceModel["kind"],
    charsMap: undefined as Uint8Array | undefined,
    bos: 1,
    eos: 2,
    unk: 0,
    pad: -1,
  };
  const reader = new Pbf(bytes);
  const seen = new Set<number>();
  try {
    reader.readFields((field) => {
      seen.add(field);
      if (field === 1) model.pieces.push(readPiece(reader));
      else if (field === 2) readTrainer(reader, model);
      else if (field === 3) readNormalizer(reader, model);
    }, undefined);
  } catch (cause) {
    throw new TokenizerError(file, "this is not a SentencePiece model, or it is damaged", { cause });
  }
  // Pieces come first and both settings after them: without these the rest of the file is missing.
  if (reader.pos !== reader.length || model.pieces.length === 0 || !seen.has(2) || !seen.has(3)) {
    throw new TokenizerError(file, "this is not a SentencePiece model, or it is truncated: download it again");
  }
  if (model.type !== 1 && model.type !== 2) {
    const type = modelTypes[model.type] ?? `type ${model.type}`;
    throw new TokenizerError(
      file,
      `this SentencePiece model is ${type}, only BPE and UNIGRAM are supported: use a folder with tokenizer.json`,
    );
  }
  model.kind = model.type === 1 ? "unigram" : "bpe";
  if (model.suffix || !model.escape) {
    throw new TokenizerError(
      file,
      "it keeps spaces in another way than before words (treat_whitespace_as_suffix, escape_whitespaces): not supported",
    );
  }
  return model;
}

function readPiece(reader: Pbf): Piece {
  const piece = { text: "", score: 0, kind: PieceKind.normal as number };
  return reader.readMessage((field) => {
    if (field === 1) piece.text = reader.readString();
    else if (field === 2) piece.score = reader.readFloat();
    else if (field === 3) piece.kind = reader.readVarint();
  }, piece);
}

type Settings = { -readonly [Key in keyof SentencePieceModel]: SentencePieceModel[Key] } & {
  type: number;
  escape: boolean;
  suffix: boolean;
};

function readTrainer(reader: Pbf, model: Settings): void {
  reader.readMessage((field) => {
    if (field === 3) model.type = reader.readVarint();
    else if (field === 24) model.suffix = reader.readBoolean();
    else if (field === 35) model.byteFallback = reader.readBoolean();
    else if (field === 40) model.unk = reader.readVarint(true);
    else if (field === 41) model.bos = reader.readVarint(true);
    else if (field === 42) model.eos = reader.readVarint(true);
    else if (field === 43) model.pad = reader.readVarint(true);
  }, undefined);
}

function readNormalizer(reader: Pbf, model: Settings): void {
  reader.readMessage((field) => {
    if (field === 2) {
      const rules = reader.readBytes();
      if (rules.length > 0) model.charsMap = new Uint8Array(rules);
    } else if (field === 3) model.dummyPrefix = reader.readBoolean();
    else if (field === 4) model.squeezeSpaces = reader.readBoolean();
    else if (field === 5) model.escape = reader.readBoolean();
  }, undefined);
}
