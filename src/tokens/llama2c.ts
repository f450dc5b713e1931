// llama2.c's tokenizer.bin: the pieces of a SentencePiece model, and nothing of its settings. Next to read: sentencepiece.ts.

import { TokenizerError } from "./error.js";
import { type Piece, PieceKind, type SentencePieceModel } from "./sentencepiece-model.js";

const MAX_PIECE_BYTES = 1024;

/**
 * Read tokenizer.bin: the length of the longest piece, u32, then of each piece its score, f32, its length in bytes, u32, and its text,
 * with spaces as spaces. What it leaves out is as Llama has it: <unk>, <s> and </s> come first, and every text begins with a space.
 *
 * @throws TokenizerError when the file is truncated, something else, or of the older form, where bytes have no names.
 * @see https://github.com/karpathy/llama2.c/blob/master/tokenizer.py
 */
export function readLlama2cTokenizer(bytes: Uint8Array, file: string): SentencePieceModel {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const broken = (problem: string, cause?: unknown) =>
    new TokenizerError(file, `${problem}: this is not a tokenizer.bin of llama2.c, or it is truncated`, { cause });
  if (bytes.length < 12) throw broken(`it has ${bytes.length} bytes`);
  const longest = view.getUint32(0, true);
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }); // U+FEFF is a piece like others
  const pieces: Piece[] = [];
  for (let at = 4; at < bytes.length; ) {
    const length = at + 8 <= bytes.length ? view.getUint32(at + 4, true) : Number.POSITIVE_INFINITY;
    if (!(length <= Math.min(longest, MAX_PIECE_BYTES)) || at + 8 + length > bytes.length)
      throw broken(`piece ${pieces.length} does not lie within the file`);
    let stored: string;
    try {
      stored = utf8.decode(bytes.subarray(at + 8, at + 8 + length));
    } catch (cause) {
      throw broken(`piece ${pieces.length} is no text`, cause);
    }
    pieces.push(pieceOf(pieces.length, stored, view.getFloat32(at, true)));
    at += 8 + length;
  }
  if (pieces[1]?.text !== "<s>" || pieces[2]?.text !== "</s>") throw broken("pieces 1 and 2 are not <s> and </s>");
  if (!pieces.some(({ kind }) => kind === PieceKind.byte))
    throw new TokenizerError(
      file,
      "it has no pieces <0x00> to <0xFF>, as older files have not: take tokenizer.model instead",
    );
  return {
    kind: "bpe",
    charsMap: undefined,
    pieces,
    byteFallback: true,
    dummyPrefix: true,
    squeezeSpaces: false,
    bos: 1,
    eos: 2,
    unk: 0,
    pad: -1,
  };
}

function pieceOf(id: number, stored: string, score: number): Piece {
  // Begin and end are written with line breaks around them, for printing.
  if (id === 1 || id === 2) return { text: stored.trim(), score, kind: PieceKind.control };
  const text = stored.replaceAll(" ", "▁");
  const isByte = /^<0x[0-9A-F]{2}>$/.test(text);
  const kind = id === 0 ? PieceKind.unknown : isByte ? PieceKind.byte : PieceKind.normal;
  return { text, score, kind };
}
