import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CharsMap } from "../../src/tokens/chars-map.js";
import { loadTokenizer, type Tokenizer } from "../../src/tokens/index.js";
import { SentencePieceTokenizer } from "../../src/tokens/sentencepiece.js";
import { readSentencePieceModel } from "../../src/tokens/sentencepiece-model.js";

interface Vector {
  readonly text: string;
  readonly ids: number[];
}
interface Golden {
  readonly cases: readonly { readonly name: string; readonly model: string; readonly vectors: readonly Vector[] }[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/unigram.json", import.meta.url), "utf8")) as Golden;
const modelOf = (at: number) => Buffer.from(golden.cases[at]?.model as string, "base64");

describe.each(golden.cases)("a Unigram model with $name", ({ model, vectors }) => {
  const tokenizer = new SentencePieceTokenizer(readSentencePieceModel(Buffer.from(model, "base64"), "m"), {
    bos: 1,
    eos: 2,
    pad: 0,
  });

  test("gives the ids that sentencepiece gives", () => {
    expect(vectors.map(({ text }) => ({ text, ids: tokenizer.encode(text) }))).toEqual(vectors);
  });
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "unigram-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function loaded(name: string, model: Uint8Array, config?: object, fields?: object): Promise<Tokenizer> {
  const at = mkdtempSync(path.join(folder, "model-"));
  writeFileSync(path.join(at, name), model);
  if (config) writeFileSync(path.join(at, "tokenizer_config.json"), JSON.stringify(config));
  if (fields) writeFileSync(path.join(at, "config.json"), JSON.stringify(fields));
  return loadTokenizer(at);
}

describe("T5's spiece.model", () => {
  test("ends texts, begins them with nothing, and has 100 tokens more, the first one last", async () => {
    const tokenizer = await loaded("spiece.model", modelOf(0));
    const count = tokenizer.vocab - 100;
    expect(tokenizer).toMatchObject({ bos: undefined, eos: 1, pad: 0 });
    expect([tokenizer.tokenText(count), tokenizer.tokenText(count + 99)]).toEqual(["<extra_id_99>", "<extra_id_0>"]);
    expect(tokenizer.encode("<extra_id_0>")).not.toContain(count + 99);
    expect(tokenizer.encode("<extra_id_0>", { special: true, eos: true })).toEqual([count + 99, 1]);
    expect((await loaded("spiece.model", modelOf(0), { extra_ids: 3 })).vocab).toBe(count + 3);
  });

  test("goes on after a special token as `legacy` says: with a space, or without", async () => {
    const text = "The<extra_id_0>river";
    const [old, now] = [
      await loaded("spiece.model", modelOf(0)),
      await loaded("spiece.model", modelOf(0), { legacy: false }),
    ];
    const at = old.encode(text, { special: true }).indexOf(old.vocab - 1) + 1;
    expect(old.encode(text, { special: true }).slice(at)).toEqual(old.encode("river"));
    expect(now.encode(text, { special: true }).slice(at)).toEqual(now.encode("river", { continuation: true }));
  });
});

describe("ChatGLM's ice_text.model", () => {
  test("has ids of image tokens first in old checkpoints", async () => {
    const names = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>", pad_token: "<unk>" };
    const now = await loaded("ice_text.model", modelOf(1), { ...names, num_image_tokens: 0 });
    const stated = await loaded("ice_text.model", modelOf(1), { ...names, num_image_tokens: 20000 });
    const inferred = await loaded("ice_text.model", modelOf(1), names, { eos_token_id: 20002 });
    const ids = now.encode("The river");
    for (const old of [stated, inferred]) {
      expect(old).toMatchObject({ bos: 20001, eos: 20002, pad: 20000, vocab: now.vocab + 20000 });
      expect(old.encode("The river")).toEqual(ids.map((id) => id + 20000));
      expect(old.decode([5, ...old.encode("The river")])).toBe("The river");
      expect(old.tokenText(5)).toBe("<image_5>");
    }
  });
});

test("rules that are damaged are refused", () => {
  for (const bytes of [[], [1, 2], [255, 255, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0]])
    expect(() => new CharsMap(Uint8Array.from(bytes), "m/spiece.model")).toThrow(
      "m/spiece.model: the rules of its normalizer are damaged: download it again",
    );
  // Any trie at all ends: a step takes a byte of the text.
  const wild = Uint8Array.from({ length: 4 + 1024 + 16 }, (_, i) => (i < 4 ? (i === 1 ? 4 : 0) : (i * 37 + 11) % 256));
  expect(typeof new CharsMap(wild, "m").apply("any text, 任何")).toBe("string");
});

const shared = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets/tokenizers");
describe.skipIf(!existsSync(shared))("real tokenizers (skipped where ../shared/assets is absent)", () => {
  const vectorsOf = (name: string) =>
    JSON.parse(readFileSync(path.join(shared, name), "utf8")) as { vectors: Vector[]; special: Vector[] };

  test("T5's gives every vector of transformers' own tests", async () => {
    const tokenizer = await loadTokenizer(path.join(shared, "t5"));
    const { vectors, special } = vectorsOf("t5/vectors_hf.json");
    expect(vectors.length).toBe(6);
    expect(vectors.map(({ text }) => tokenizer.encode(text, { eos: true }))).toEqual(vectors.map(({ ids }) => ids));
    expect(special.map(({ text }) => tokenizer.encode(text, { special: true }))).toEqual(special.map(({ ids }) => ids));
    expect([tokenizer.vocab, tokenizer.tokenText(32099), tokenizer.tokenText(32000)]).toEqual([
      32100,
      "<extra_id_0>",
      "<extra_id_99>",
    ]);
    const legacy = { special: true, eos: true };
    expect(tokenizer.encode("Hello <extra_id_0>.", legacy)).toEqual([8774, 32099, 3, 5, 1]);
    const at = mkdtempSync(path.join(folder, "t5-"));
    copyFileSync(path.join(shared, "t5/spiece.model"), path.join(at, "spiece.model"));
    writeFileSync(path.join(at, "tokenizer_config.json"), JSON.stringify({ legacy: false }));
    expect((await loadTokenizer(at)).encode("Hello <extra_id_0>.", legacy)).toEqual([8774, 32099, 5, 1]);
  });

  test("ChatGLM's gives every published vector, and the texts back", async () => {
    const tokenizer = await loadTokenizer(path.join(shared, "chatglm"));
    expect(tokenizer).toMatchObject({ vocab: 130344, bos: 130004, eos: 130005, pad: 3 });
    const { vectors } = vectorsOf("chatglm/vectors_chatglmcpp.json");
    expect(vectors.length).toBe(3);
    const [gmask, sop] = [130001, 130004];
    expect([tokenizer.tokenText(gmask), tokenizer.tokenText(sop)]).toEqual(["[gMASK]", "<sop>"]);
    expect(vectors.map(({ text }) => [...tokenizer.encode(text), gmask, sop])).toEqual(vectors.map(({ ids }) => ids));
    expect(tokenizer.decode(tokenizer.encode("a\n\tb   c"))).toBe("a\n\tb   c");
    expect(tokenizer.encode("类型#裤*版型#宽松*风格#性感*图案")).toEqual([
      5, 65421, 61, 67329, 32, 98339, 61, 72043, 32, 65347, 61, 70872, 32, 69768,
    ]);
    expect(tokenizer.encode("答：", { continuation: true })).toEqual([67342, 12]);
    const blanks = (count: number) => tokenizer.encode(`a${" ".repeat(count)}b`, { continuation: true }).slice(1, -1);
    expect([blanks(2), blanks(80), blanks(82)]).toEqual([[130009], [130087], [130087, 130009]]);
  });

  test("Chinese-LLaMA's reads as many pieces as were published", async () => {
    const tokenizer = await loadTokenizer(path.join(shared, "chinese-llama"));
    expect(tokenizer).toMatchObject({ vocab: 49953, bos: 1, eos: 2 });
    expect(tokenizer.decode(tokenizer.encode("你好，世界"))).toBe("你好，世界");
  });
});
