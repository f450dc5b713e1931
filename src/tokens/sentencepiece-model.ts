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
 * Read a SentencePiece model of type BPE.
 *
 * @throws TokenizerError when the bytes are no such model, or it needs something that is not built: another type than BPE,
 *   a normalizer with rules of its own, spaces as suffixes.
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
    normalizer: "",
    rules: 0,
    bos: 1,
    eos: 2,
    unk: 0,
    pad: -1,
  };
  const reader = new Pbf(bytes);
  try {
    reader.readFields((field) => {
      if (field === 1) model.pieces.push(readPiece(reader));
      else if (field === 2) readTrainer(reader, model);
      else if (field === 3) readNormalizer(reader, model);
    }, undefined);
  } catch (cause) {
    throw new TokenizerError(file, "this is not a SentencePiece model, or it is damaged", { cause });
  }
  if (reader.pos !== reader.length || model.pieces.length === 0) {
    throw new TokenizerError(file, "this is not a SentencePiece model, or it is truncated: download it again");
  }
  if (model.type !== 2) {
    const type = modelTypes[model.type] ?? `type ${model.type}`;
    throw new TokenizerError(
      file,
      `this SentencePiece model is ${type}, only BPE is supported: use a folder with tokenizer.json`,
    );
  }
  if (model.rules > 0) {
    throw new TokenizerError(
      file,
      `its normalizer "${model.normalizer}" has rules of its own, only identity is supported`,
    );
  }
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
  normalizer: string;
  rules: number;
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
    if (field === 1) model.normalizer = reader.readString();
    else if (field === 2) model.rules = reader.readBytes().length;
    else if (field === 3) model.dummyPrefix = reader.readBoolean();
    else if (field === 4) model.squeezeSpaces = reader.readBoolean();
    else if (field === 5) model.escape = reader.readBoolean();
  }, undefined);
}
