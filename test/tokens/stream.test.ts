import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { StreamDecoder } from "../../src/tokens/index.js";
import { SentencePieceTokenizer } from "../../src/tokens/sentencepiece.js";
import { readSentencePieceModel } from "../../src/tokens/sentencepiece-model.js";
import { JsonTokenizer } from "../../src/tokens/tokenizer-json.js";

const read = (name: string) => JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), "utf8"));
const models = read("sentencepiece").cases as { model: string; vectors: { text: string; ids: number[] }[] }[];
const jsons = read("tokenizer-json").cases as {
  name: string;
  json: Record<string, unknown>;
  vectors: { text: string; ids: number[] }[];
}[];
const pieces = new SentencePieceTokenizer(readSentencePieceModel(Buffer.from(models[0]!.model, "base64"), "m"), {
  bos: 1,
  eos: 2,
  pad: 0,
});

const all = [
  { name: "SentencePiece", tokenizer: pieces, vectors: models[0]!.vectors },
  ...jsons.map(({ name, json, vectors }) => ({
    name,
    tokenizer: new JsonTokenizer(json, {}, () => ({ bos: 1, eos: 2, pad: 0 })),
    vectors,
  })),
];

describe.each(all)("ids that arrive one by one ($name)", ({ tokenizer, vectors }) => {
  test("give the text of all at once, and no piece has to be taken back", () => {
    for (const { ids } of vectors) {
      const stream = new StreamDecoder(tokenizer);
      const parts = ids.map((id) => stream.push(id));
      expect(parts.every((part) => !part.includes("\ufffd"))).toBe(true);
      expect(parts.join("") + stream.flush()).toBe(tokenizer.decode(ids));
    }
  });

  test("after a prompt, give what they add to it", () => {
    const [prompt, more] = ["The river", " carries the 🦙 lantern."];
    const before = tokenizer.encode(prompt);
    const ids = tokenizer.encode(more, { continuation: true });
    const stream = new StreamDecoder(tokenizer, { after: before });
    expect(ids.map((id) => stream.push(id)).join("") + stream.flush()).toBe(more);
  });
});

describe("bytes", () => {
  const byte = (value: number) =>
    5 +
    [...Array(600).keys()].findIndex(
      (id) => pieces.tokenText(id + 5) === `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
    );

  test("of one character are held back until it is whole", () => {
    const stream = new StreamDecoder(pieces);
    expect([0xf0, 0x9f, 0xa6, 0x99].map((value) => stream.push(byte(value)))).toEqual(["", "", "", "🦙"]);
    expect(stream.flush()).toBe("");
  });

  test("that never become a character show as U+FFFD at the end, or once the next character is there", () => {
    const cut = new StreamDecoder(pieces);
    expect([0xf0, 0x9f].map((value) => cut.push(byte(value)))).toEqual(["", ""]);
    expect(cut.flush()).toBe("\ufffd");
    const broken = new StreamDecoder(pieces);
    const [a] = pieces.encode("a", { continuation: true });
    expect([byte(0xe6), a!].map((id) => broken.push(id))).toEqual(["", "\ufffda"]);
  });
});
