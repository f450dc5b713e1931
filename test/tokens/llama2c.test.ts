// llama2.c's tokenizer.bin beside the SentencePiece model it was made from: the same ids.

import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../src/tokens/index.js";
import { readLlama2cTokenizer } from "../../src/tokens/llama2c.js";
import { PieceKind, readSentencePieceModel } from "../../src/tokens/sentencepiece-model.js";

/** As llama2.c's tokenizer.py writes the pieces of a model. */
function written(model: Uint8Array): Buffer {
  const { pieces } = readSentencePieceModel(model, "tokenizer.model");
  const texts = pieces.map(({ text }, id) =>
    Buffer.from(id === 1 ? "\n<s>\n" : id === 2 ? "\n</s>\n" : text.replaceAll("▁", " ")),
  );
  const longest = Buffer.alloc(4);
  longest.writeUInt32LE(Math.max(...texts.map(({ length }) => length)));
  const parts = texts.map((text, id) => {
    const head = Buffer.alloc(8);
    head.writeFloatLE(pieces[id]?.score as number, 0);
    head.writeUInt32LE(text.length, 4);
    return Buffer.concat([head, text]);
  });
  return Buffer.concat([longest, ...parts]);
}

async function tokenizerOf(bytes: Uint8Array) {
  const folder = await mkdtemp(path.join(tmpdir(), "llama2c-tokenizer-"));
  await writeFile(path.join(folder, "tokenizer.bin"), bytes);
  return loadTokenizer(folder);
}

const golden = JSON.parse(readFileSync(new URL("../golden/sentencepiece.json", import.meta.url), "utf8")) as {
  cases: { model: string; vectors: { text: string; ids: number[] }[] }[];
};
const [{ model, vectors }] = golden.cases as [(typeof golden.cases)[0]];
const bytes = Buffer.from(model, "base64");

test("a model with Llama's settings gives the ids that sentencepiece gives", async () => {
  const tokenizer = await tokenizerOf(written(bytes));
  expect([tokenizer.bos, tokenizer.eos]).toEqual([1, 2]);
  // The file does not say which pieces users defined, which are never cut.
  const { pieces } = readSentencePieceModel(bytes, "tokenizer.model");
  const special = pieces.filter(
    ({ kind }, id) => id > 2 && (kind === PieceKind.userDefined || kind === PieceKind.control),
  );
  const plain = vectors.filter(({ text }) => !special.some((piece) => text.includes(piece.text.replaceAll("▁", " "))));
  expect(plain.length).toBeGreaterThan(40);
  expect(plain.map(({ text }) => ({ text, ids: tokenizer.encode(text) }))).toEqual(
    plain.map(({ text, ids }) => ({ text, ids })),
  );
});

describe("a file is refused", () => {
  const whole = written(bytes);
  const older = Buffer.from(whole.toString("latin1").replaceAll("<0x", "<9x"), "latin1");
  test.each<[string, Uint8Array, string]>([
    ["that is cut off", whole.subarray(0, whole.length - 1), "piece 419 does not lie within the file: this is not"],
    ["that is empty", new Uint8Array(4), "it has 4 bytes: this is not a tokenizer.bin"],
    ["that is something else", bytes, "piece 0 does not lie within the file"],
    [
      "from before bytes had names",
      older,
      "it has no pieces <0x00> to <0xFF>, as older files have not: take tokenizer.model",
    ],
  ])("%s", (_, data, message) => {
    expect(() => readLlama2cTokenizer(data, "tokenizer.bin")).toThrow(`tokenizer.bin: ${message}`);
  });
});

const shared = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets/tokenizers/llama");
test.skipIf(!existsSync(shared))(
  "Llama's own gives the published ids (skipped where ../shared is absent)",
  async () => {
    const tokenizer = await tokenizerOf(written(readFileSync(path.join(shared, "tokenizer.model"))));
    expect(tokenizer.vocab).toBe(32000);
    expect(tokenizer.encode("\ufeff").map((id) => tokenizer.tokenText(id))).toContain("\ufeff");
    const texts = readFileSync(path.join(shared, "vectors.inp"), "utf8").split("\n__ggml_vocab_test__\n");
    const lines = readFileSync(path.join(shared, "vectors.out"), "utf8").split("\n");
    for (const [i, text] of texts.entries()) {
      const ids = (lines[i] as string).trim().split(/\s+/).filter(Boolean).map(Number);
      expect({ text, ids: tokenizer.encode(text) }).toEqual({ text, ids });
    }
  },
);
