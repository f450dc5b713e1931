import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { loadTokenizer, TokenizerError } from "../../src/tokens/index.js";

const read = (name: string) => JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), "utf8"));
const model = Buffer.from(read("sentencepiece").cases[0].model as string, "base64");
const json = read("tokenizer-json").cases[0].json as Record<string, unknown>;

let folder: string;
const folders: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tokenizer-"));
  folders.push(folder);
});
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

async function put(files: Record<string, unknown>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await writeFile(
      path.join(folder, name),
      Buffer.isBuffer(content) || typeof content === "string" ? content : JSON.stringify(content),
    );
  }
}

async function refusal(): Promise<string> {
  const error = await loadTokenizer(folder).then(
    () => new Error("loaded"),
    (reason: unknown) => reason as Error,
  );
  expect(error).toBeInstanceOf(TokenizerError);
  return error.message.replace(folder, "folder");
}

describe("special tokens", () => {
  test("are those of the SentencePiece model when no file says otherwise; padding falls back to the unknown token", async () => {
    await put({ "tokenizer.model": model });
    expect(await loadTokenizer(folder)).toMatchObject({ bos: 1, eos: 2, pad: 0, vocab: 420 });
  });

  test("of config.json do not win over those of the vocabulary: config.json is often wrong", async () => {
    await put({
      "tokenizer.model": model,
      "config.json": { bos_token_id: 0, eos_token_id: 1 },
      "tokenizer_config.json": { bos_token: "", eos_token: "" },
    });
    expect(await loadTokenizer(folder)).toMatchObject({ bos: 1, eos: 2 });
  });

  test("come from config.json when nothing else names them", async () => {
    await put({ "tokenizer.json": json, "config.json": { bos_token_id: 1, eos_token_id: [2, 0], pad_token_id: -1 } });
    expect(await loadTokenizer(folder)).toMatchObject({ bos: 1, eos: 2, pad: 2 });
  });

  test("come by name from tokenizer_config.json, then special_tokens_map.json", async () => {
    await put({
      "tokenizer.json": json,
      "tokenizer_config.json": { eos_token: { content: "</s>" } },
      "special_tokens_map.json": { eos_token: "<s>", bos_token: "<s>", pad_token: "<unk>" },
    });
    expect(await loadTokenizer(folder)).toMatchObject({ bos: 1, eos: 2, pad: 0 });
  });

  test("leave the begin token out where texts begin without one", async () => {
    await put({ "tokenizer.model": model, "tokenizer_config.json": { add_bos_token: false, bos_token: "<s>" } });
    expect((await loadTokenizer(folder)).bos).toBeUndefined();
  });

  test("that are named but not in the vocabulary are refused", async () => {
    await put({ "tokenizer.model": model, "tokenizer_config.json": { eos_token: "<|end|>" } });
    expect(await refusal()).toBe(
      'folder/tokenizer_config.json: `eos_token` is "<|end|>", which is not in the vocabulary',
    );
  });

  test("may be added after the pieces of the model, in a row", async () => {
    const added = { "420": { content: "[PAD]", special: true }, "421": { content: "[X]", special: false } };
    await put({
      "tokenizer.model": model,
      "tokenizer_config.json": { pad_token: "[PAD]", added_tokens_decoder: added },
    });
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer).toMatchObject({ vocab: 422, pad: 420 });
    expect(tokenizer.encode("[PAD][X]")).not.toContain(420);
    expect(tokenizer.encode("[PAD][X]")).toContain(421);
    await put({ "tokenizer_config.json": { added_tokens_decoder: { "422": added["420"] } } });
    expect(await refusal()).toBe(
      'folder/tokenizer.model: has 420 pieces, but tokenizer_config.json adds "[PAD]" as 422, expected 420',
    );
  });
});

test("tokenizer.json is taken before tokenizer.model", async () => {
  await put({ "tokenizer.json": json, "tokenizer.model": model });
  expect((await loadTokenizer(folder)).vocab).toBe(857);
});

describe("a folder is refused, saying why, when", () => {
  test("it is not there, or holds no tokenizer", async () => {
    await expect(loadTokenizer(path.join(folder, "none"))).rejects.toThrow("none: there is no such folder");
    expect(await refusal()).toBe(
      "folder: expected tokenizer.json, tokenizer.model, spiece.model, ice_text.model, tokenizer.bin, or vocab.json with merges.txt in this folder, found none",
    );
  });

  test("its tokenizer is a Git LFS pointer", async () => {
    await put({ "tokenizer.model": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 499723\n" });
    expect(await refusal()).toContain(
      "tokenizer.model: this is a Git LFS pointer, not the tokenizer of 499723 bytes: run `git lfs pull` in",
    );
  });

  test("tokenizer.json is broken, or something else", async () => {
    await put({ "tokenizer.json": '{\n"model": }' });
    expect(await refusal()).toBe("folder/tokenizer.json:2:10: expected a value");
    await put({ "tokenizer.json": "{}" });
    expect(await refusal()).toBe(
      "folder/tokenizer.json: expected `model` and `added_tokens`, as Hugging Face's tokenizers write them",
    );
    await put({ "tokenizer.json": { ...json, normalizer: { type: "Mystery" } } });
    expect(await refusal()).toMatch(/^folder\/tokenizer.json: not supported: .*Mystery/);
  });
});

const shared = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets");
describe.skipIf(!existsSync(shared))("real tokenizers (skipped where ../shared/assets is absent)", () => {
  /** llama.cpp's vocabulary tests: 47 texts, and a line of ids for each. */
  function vectors(name: string): { text: string; ids: number[] }[] {
    const at = path.join(shared, "tokenizers", name);
    const texts = readFileSync(path.join(at, "vectors.inp"), "utf8").split("\n__ggml_vocab_test__\n");
    const lines = readFileSync(path.join(at, "vectors.out"), "utf8").split("\n");
    return texts.map((text, i) => ({ text, ids: (lines[i]?.match(/\d+/g) ?? []).map(Number) }));
  }

  test.each(["llama, tokenizer.model", "llama, tokenizer.json", "gpt2, vocab.json and merges.txt"])(
    "%s gives the 47 published vectors",
    async (which) => {
      const [name, file] = which.split(", ") as [string, string];
      let at = path.join(shared, "tokenizers", name);
      if (file === "tokenizer.model") {
        copyFileSync(path.join(at, file), path.join(folder, file));
        at = folder;
      }
      const tokenizer = await loadTokenizer(at);
      const expected = vectors(name);
      expect(expected.length).toBe(47);
      expect(expected.map(({ text }) => ({ text, ids: tokenizer.encode(text) }))).toEqual(expected);
      expect(expected.map(({ ids }) => tokenizer.decode(ids))).toEqual(expected.map(({ text }) => text));
    },
  );

  test("Llama's gives the 16 vectors of transformers' own tests, from both files", async () => {
    const at = path.join(shared, "tokenizers/llama");
    const { vectors: expected } = JSON.parse(readFileSync(path.join(at, "vectors_hf.json"), "utf8")) as {
      vectors: { text: string; ids: number[] }[];
    };
    copyFileSync(path.join(at, "tokenizer.model"), path.join(folder, "tokenizer.model"));
    const both = [await loadTokenizer(at), await loadTokenizer(folder)];
    for (const tokenizer of both) {
      expect(expected.length).toBe(16);
      expect(expected.map(({ text }) => tokenizer.encode(text, { bos: true }))).toEqual(expected.map(({ ids }) => ids));
      expect([tokenizer.decode([869]), tokenizer.decode([30112, 869])]).toEqual([".", "ا ."]);
    }
  });

  test("both files of Llama agree on 500 rows, and give the rows back", async () => {
    const at = path.join(shared, "tokenizers/llama");
    copyFileSync(path.join(at, "tokenizer.model"), path.join(folder, "tokenizer.model"));
    const [json, pieces] = [await loadTokenizer(at), await loadTokenizer(folder)];
    const rows = ["alpaca_zh_demo.json", "alpaca_en_demo.json"].flatMap((name) =>
      (JSON.parse(readFileSync(path.join(shared, "datasets", name), "utf8")) as { output: string }[]).slice(0, 250),
    );
    for (const { output } of rows) {
      const ids = pieces.encode(output);
      expect(json.encode(output)).toEqual(ids);
      expect([pieces.decode(ids), json.decode(ids)]).toEqual([output, output]);
    }
  });

  test("a small story model's writes the story that was published for its ids", async () => {
    const at = path.join(shared, "models/stories260k");
    const tokenizer = await loadTokenizer(at);
    expect(tokenizer).toMatchObject({ vocab: 512, bos: 1, eos: 2, pad: 0 });
    const read = JSON.parse(readFileSync(path.join(at, "expected_greedy_ids.json"), "utf8")) as
      | number[]
      | { ids: number[] };
    const ids = Array.isArray(read) ? read : read.ids;
    expect(tokenizer.decode(ids).trim()).toBe(readFileSync(path.join(at, "expected_greedy.txt"), "utf8").trim());
  });
});
