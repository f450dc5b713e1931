import { readFileSync } from "node:fs";
import Pbf from "pbf";
import { describe, expect, test } from "vitest";
import { TokenizerError } from "../../src/tokens/index.js";
import { SentencePieceTokenizer } from "../../src/tokens/sentencepiece.js";
import { readSentencePieceModel } from "../../src/tokens/sentencepiece-model.js";

interface Golden {
  readonly cases: readonly {
    readonly name: string;
    readonly model: string;
    readonly vectors: readonly { readonly text: string; readonly ids: number[]; readonly decoded: string }[];
  }[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/sentencepiece.json", import.meta.url), "utf8")) as Golden;

function tokenizerOf(model: Uint8Array): SentencePieceTokenizer {
  return new SentencePieceTokenizer(readSentencePieceModel(model, "tokenizer.model"), { bos: 1, eos: 2, pad: 0 });
}

describe.each(golden.cases)("a model with $name", ({ model, vectors }) => {
  const tokenizer = tokenizerOf(Buffer.from(model, "base64"));

  test("gives the ids that sentencepiece gives", () => {
    const got = vectors.map(({ text }) => ({ text, ids: tokenizer.encode(text) }));
    expect(got).toEqual(vectors.map(({ text, ids }) => ({ text, ids })));
  });

  test("gives the text back that sentencepiece gives, where every character is known", () => {
    // sentencepiece writes an unknown token as " ⁇ "; here it is skipped like other special tokens, as transformers does.
    const known = vectors.filter(({ ids }) => !ids.includes(0));
    expect(known.length).toBeGreaterThan(10);
    expect(known.map(({ ids }) => tokenizer.decode(ids))).toEqual(known.map(({ decoded }) => decoded));
  });

  test("gives the same ids a second time, from its memory", () => {
    expect(vectors.map(({ text }) => tokenizer.encode(text))).toEqual(vectors.map(({ ids }) => ids));
  });
});

describe("Llama's settings", () => {
  const tokenizer = tokenizerOf(Buffer.from(golden.cases[0]!.model, "base64"));
  const texts = (ids: readonly number[]) => ids.map((id) => tokenizer.tokenText(id));

  test("begin and end tokens are put on when asked for", () => {
    expect(tokenizer.encode("", { bos: true, eos: true })).toEqual([1, 2]);
  });

  test("special tokens written in a text are text, unless they are asked to be tokens", () => {
    expect(tokenizer.encode("a</s>")).not.toContain(2);
    expect(tokenizer.decode(tokenizer.encode("a</s>"))).toBe("a</s>");
    const asked = tokenizer.encode("<s>a</s>", { special: true });
    expect([asked[0], asked.at(-1)]).toEqual([1, 2]);
    expect(tokenizer.decode(asked)).toBe("a");
    expect(tokenizer.decode(asked, { skipSpecial: false })).toBe("<s>a</s>");
  });

  test("a text that goes on has no space put before it", () => {
    expect(texts(tokenizer.encode("The", { continuation: true }))[0]).not.toMatch(/^▁/);
    const whole = tokenizer.encode("The river\nThe river");
    expect([...tokenizer.encode("The river\n"), ...tokenizer.encode("The river", { continuation: true })]).toEqual(
      whole,
    );
  });

  test("half a surrogate pair is the replacement character", () => {
    expect(tokenizer.encode("a\ud800b")).toEqual(tokenizer.encode("a\ufffdb"));
  });

  test("an id that is not there is shown, not dropped", () => {
    expect(tokenizer.decode([...tokenizer.encode("The"), 9999])).toBe("The<id 9999>");
    expect(tokenizer.tokenText(9999)).toBe("<id 9999>");
  });

  test("a long text takes linear time: 400,000 characters without a space in under two seconds", () => {
    const began = performance.now();
    expect(tokenizer.encode("theriver月".repeat(50_000)).length).toBeGreaterThan(100_000);
    expect(performance.now() - began).toBeLessThan(2000); // 60 ms alone; quadratic time would be minutes
  });
});

/** A model file written by hand, after sentencepiece_model.proto. */
function modelOf({ type = 2, suffix = false, pieces = ["<unk>", "<s>", "</s>", "a"] } = {}): Uint8Array {
  const writer = new Pbf();
  for (const [id, piece] of pieces.entries()) {
    writer.writeMessage(
      1,
      (text: string, inner: Pbf) => {
        inner.writeStringField(1, text);
        inner.writeFloatField(2, -id);
        inner.writeVarintField(3, id === 0 ? 2 : id < 3 ? 3 : 1);
      },
      piece,
    );
  }
  writer.writeMessage(
    2,
    (_: null, inner: Pbf) => {
      inner.writeVarintField(3, type);
      inner.writeBooleanField(24, suffix);
    },
    null,
  );
  writer.writeMessage(
    3,
    (_: null, inner: Pbf) => {
      inner.writeStringField(1, "nmt_nfkc");
    },
    null,
  );
  return writer.finish();
}

describe("a model file is refused, saying why, when", () => {
  const refusal = (bytes: Uint8Array): string => {
    try {
      readSentencePieceModel(bytes, "m/tokenizer.model");
    } catch (error) {
      expect(error).toBeInstanceOf(TokenizerError);
      return (error as Error).message;
    }
    throw new Error("read");
  };

  test("it is of another kind than BPE and Unigram", () => {
    expect(tokenizerOf(modelOf()).encode("a")).toEqual([0, 3]); // "▁" is unknown
    expect(tokenizerOf(modelOf({ type: 1 })).encode("a")).toEqual([0, 3]);
    expect(refusal(modelOf({ type: 3 }))).toBe(
      "m/tokenizer.model: this SentencePiece model is WORD, only BPE and UNIGRAM are supported: use a folder with tokenizer.json",
    );
  });

  test("it keeps spaces after words", () => {
    expect(refusal(modelOf({ suffix: true }))).toContain("treat_whitespace_as_suffix");
  });

  test("it is cut off, empty, or something else", () => {
    const whole = modelOf({ pieces: Array.from({ length: 100 }, (_, i) => `piece ${i}`) });
    for (let bytes = 0; bytes < 1000; bytes += 37) {
      expect(refusal(whole.subarray(0, bytes))).toMatch(
        /this is not a SentencePiece model, or it is (truncated|damaged)/,
      );
    }
    expect(refusal(Buffer.from("#!/bin/sh\necho hello\n"))).toContain("this is not a SentencePiece model");
  });
});
