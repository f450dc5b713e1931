import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { JsonTokenizer } from "../../src/tokens/tokenizer-json.js";

interface Golden {
  readonly cases: readonly {
    readonly name: string;
    readonly json: Record<string, unknown>;
    readonly vectors: readonly { readonly text: string; readonly ids: number[]; readonly decoded: string }[];
    readonly special: readonly { readonly text: string; readonly ids: number[] }[];
  }[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/tokenizer-json.json", import.meta.url), "utf8")) as Golden;

describe.each(golden.cases)("a tokenizer.json with $name", ({ json, vectors, special }) => {
  const tokenizer = new JsonTokenizer(json, {}, (_, idOf) => ({ bos: idOf("<s>"), eos: idOf("</s>"), pad: 0 }));

  test("gives the ids and texts that Hugging Face's tokenizers gives", () => {
    const got = vectors.map(({ text, ids }) => ({ text, ids: tokenizer.encode(text), decoded: tokenizer.decode(ids) }));
    expect(got).toEqual(vectors);
  });

  test("reads special tokens written in a text as Hugging Face does only when asked to", () => {
    expect(special.map(({ text }) => ({ text, ids: tokenizer.encode(text, { special: true }) }))).toEqual(special);
    for (const { text } of special) {
      const plain = tokenizer.encode(text);
      expect(plain.includes(tokenizer.eos!) || plain.includes(tokenizer.bos!)).toBe(false);
      expect(tokenizer.decode(plain)).toBe(text);
    }
  });

  test("puts begin and end tokens on when asked to, and shows them when asked to", () => {
    const ids = tokenizer.encode("", { bos: true, eos: true });
    expect(ids).toEqual([tokenizer.bos, tokenizer.eos]);
    expect(tokenizer.decode(ids)).toBe("");
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe("<s></s>");
  });

  test("a text that goes on gives the ids it has in the whole text", () => {
    const whole = tokenizer.encode("The river\nThe river");
    expect([...tokenizer.encode("The river\n"), ...tokenizer.encode("The river", { continuation: true })]).toEqual(
      whole,
    );
  });

  test("an id that is not there is shown, not dropped", () => {
    const river = tokenizer.encode("river");
    expect(tokenizer.decode([...river, 9999])).toBe("river<id 9999>");
    expect(tokenizer.decode([9999])).toBe("<id 9999>");
    expect(tokenizer.tokenText(9999)).toBe("<id 9999>");
    expect(tokenizer.vocab).toBeLessThan(9999);
  });

  test("nothing decodes to nothing", () => {
    expect(tokenizer.decode([])).toBe("");
  });
});
