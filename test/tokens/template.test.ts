import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { Row } from "../../src/data/index.js";
import { readRows } from "../../src/data/index.js";
import { applyTemplate, type Encoded, encodeRows, loadTokenizer, renderPrompt } from "../../src/tokens/index.js";
import { SentencePieceTokenizer } from "../../src/tokens/sentencepiece.js";
import { readSentencePieceModel } from "../../src/tokens/sentencepiece-model.js";

const golden = JSON.parse(readFileSync(new URL("../golden/sentencepiece.json", import.meta.url), "utf8"));
const model = readSentencePieceModel(Buffer.from(golden.cases[0].model as string, "base64"), "m");
const tokenizer = new SentencePieceTokenizer(model, { bos: 1, eos: 2, pad: 0 });

const row: Row = { kind: "instruction", instruction: "Name the river.", output: "The river opens." };
const withInput: Row = { ...row, input: "月亮" };

function trainedText({ ids, trained }: Encoded): string {
  return tokenizer.decode(
    ids.filter((_, i) => trained[i]),
    { skipSpecial: false },
  );
}

describe("prompts", () => {
  test("of alpaca are Stanford Alpaca's, letter by letter", () => {
    expect(renderPrompt("alpaca", { instruction: "Name the river." })).toBe(
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nName the river.\n\n### Response:\n",
    );
    expect(renderPrompt("alpaca", { instruction: "Name the river.", input: "月亮" })).toBe(
      "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nName the river.\n\n### Input:\n月亮\n\n### Response:\n",
    );
    expect(renderPrompt("alpaca", { instruction: "Name the river.", input: "" })).not.toContain("Input");
  });

  test("of the other templates", () => {
    expect(renderPrompt("alpaca_short", { instruction: "A", input: "B" })).toBe(
      "### Instruction:\nA\n\n### Input:\nB\n\n### Response:\n",
    );
    expect(renderPrompt("alpaca_short", { instruction: "A" })).toBe("### Instruction:\nA\n\n### Response:\n");
    expect(renderPrompt("none", { instruction: "A" })).toBe("A");
    expect(renderPrompt("none", { instruction: "A", input: "B" })).toBe("A\nB");
    expect(renderPrompt({ prompt: "Q: {instruction}\nA:" }, { instruction: "A", input: "B" })).toBe("Q: A\nB\nA:");
    expect(
      renderPrompt(
        { prompt: "Q: {instruction}", promptWithInput: "{input}? {instruction}" },
        { instruction: "A", input: "B" },
      ),
    ).toBe("B? A");
  });

  test("keep braces and dollars of the row as they are", () => {
    expect(
      renderPrompt(
        { prompt: "<{instruction}|{input}>", promptWithInput: "<{instruction}|{input}>" },
        { instruction: "{input} $& $1", input: "{instruction}" },
      ),
    ).toBe("<{input} $& $1|{instruction}>");
  });

  test("of a template that does not exist, or has no place for the task, are refused", () => {
    expect(() => renderPrompt("llama" as "alpaca", { instruction: "A" })).toThrow(
      'expected `template` to be one of alpaca, alpaca_short, none, or { prompt, promptWithInput }, got "llama"',
    );
    expect(() => renderPrompt("toString" as "alpaca", { instruction: "A" })).toThrow(
      "expected `template` to be one of",
    );
    expect(() => renderPrompt({ prompt: "Hello" }, { instruction: "A" })).toThrow(
      'expected the template to have a place for {instruction}, got "Hello"',
    );
  });
});

describe("a row as ids", () => {
  test("trains the answer and the end token, not the prompt", () => {
    const encoded = applyTemplate(row, tokenizer, { index: 7 });
    expect(encoded.row).toBe(7);
    expect(encoded.truncated).toBeUndefined();
    expect(encoded.trained.length).toBe(encoded.ids.length);
    expect([encoded.ids[0], encoded.ids.at(-1)]).toEqual([1, 2]);
    expect(trainedText(encoded)).toBe("The river opens.</s>");
    expect(tokenizer.decode(encoded.ids)).toBe(renderPrompt("alpaca", row) + row.output);
  });

  test("begins with exactly the ids that generation feeds", () => {
    for (const one of [
      row,
      withInput,
      { ...row, output: " starts with a space" },
      { ...row, output: "\n\nlines" },
      { ...row, output: "" },
    ]) {
      const fed = tokenizer.encode(renderPrompt("alpaca", one), { bos: true });
      const { ids, trained } = applyTemplate(one, tokenizer);
      expect(ids.slice(0, fed.length)).toEqual(fed);
      expect(trained.indexOf(true)).toBe(fed.length);
    }
  });

  test("is the ids of the whole text", () => {
    for (const one of [row, withInput]) {
      const whole = tokenizer.encode(renderPrompt("alpaca", one) + one.output, { bos: true, eos: true });
      expect(applyTemplate(one, tokenizer).ids).toEqual(whole);
    }
  });

  test("trains all of it when asked to, and all of a plain text", () => {
    expect(applyTemplate(row, tokenizer, { trainPrompt: true }).trained).not.toContain(false);
    const text = applyTemplate({ kind: "text", text: "The river" }, tokenizer);
    expect(text.ids).toEqual(tokenizer.encode("The river", { bos: true, eos: true }));
    expect(text.trained).not.toContain(false);
  });

  test("begins without a begin token where the tokenizer has none", () => {
    const without = new SentencePieceTokenizer(model, { bos: undefined, eos: 2, pad: 0 });
    expect(applyTemplate(row, without).ids).toEqual(applyTemplate(row, tokenizer).ids.slice(1));
  });

  test("that is too long keeps its start and says that its end is gone", () => {
    const whole = applyTemplate(row, tokenizer);
    const fits = applyTemplate(row, tokenizer, { maxTokens: whole.ids.length });
    expect(fits).toEqual(whole);
    const cut = applyTemplate(row, tokenizer, { maxTokens: whole.ids.length - 1 });
    expect(cut).toEqual({ ids: whole.ids.slice(0, -1), trained: whole.trained.slice(0, -1), row: 0, truncated: true });
    const promptOnly = applyTemplate(row, tokenizer, { maxTokens: 20 });
    expect(promptOnly).toMatchObject({ ids: whole.ids.slice(0, 20), truncated: true });
    expect(promptOnly.trained).not.toContain(true);
    expect(() => applyTemplate(row, tokenizer, { maxTokens: 1 })).toThrow(
      "expected `maxTokens` to be an integer from 2, got 1",
    );
  });

  test("takes special tokens in its text as text: data cannot end an answer", () => {
    const { ids } = applyTemplate({ ...row, output: "one </s> two" }, tokenizer);
    expect(ids.filter((id) => id === 2)).toEqual([2]);
    expect(ids.at(-1)).toBe(2);
  });
});

describe("many rows", () => {
  test("are numbered, and let the event loop turn while they are encoded", async () => {
    const rows: Row[] = Array.from({ length: 4000 }, (_, i) => ({
      ...row,
      output: `The ${i} river carries ${"the lantern ".repeat(20)}`,
    }));
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const began = performance.now();
    const seen: number[] = [];
    for await (const encoded of encodeRows(rows, tokenizer)) seen.push(encoded.row);
    clearInterval(timer);
    expect(seen).toEqual([...rows.keys()]);
    // Turns come every 4 ms; room for a busy machine, yet far less than the whole.
    expect(longest).toBeLessThan(Math.max(50, (performance.now() - began) / 3));
  });

  test("stop when asked to", async () => {
    const stop = new AbortController();
    const encoded = encodeRows([row, row], tokenizer, { signal: stop.signal });
    await encoded.next();
    stop.abort(new Error("stopped by hand"));
    await expect(encoded.next()).rejects.toThrow("stopped by hand");
  });
});

const shared = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets");
describe.skipIf(!existsSync(shared))(
  "Llama's tokenizer and real rows (skipped where ../shared/assets is absent)",
  () => {
    test.each(["tokenizer.model", "tokenizer.json"])("the ids are those of the whole text, from %s", async (file) => {
      const folder = mkdtempSync(path.join(tmpdir(), "llama-"));
      copyFileSync(path.join(shared, "tokenizers/llama", file), path.join(folder, file));
      copyFileSync(
        path.join(shared, "tokenizers/llama/tokenizer_config.json"),
        path.join(folder, "tokenizer_config.json"),
      );
      const llama = await loadTokenizer(folder);
      rmSync(folder, { recursive: true });
      let count = 0;
      const different: string[] = [];
      for await (const one of readRows(path.join(shared, "datasets/alpaca_en_demo.json"))) {
        if (one.kind === "text" || count++ >= 300) continue;
        const whole = llama.encode(renderPrompt("alpaca", one) + one.output, { bos: true, eos: true });
        if (JSON.stringify(applyTemplate(one, llama, { maxTokens: 10_000 }).ids) !== JSON.stringify(whole))
          different.push(one.output);
      }
      expect(different).toEqual([]);
    });

    test("the ids of two sentences are those that tutorials print", async () => {
      const llama = await loadTokenizer(path.join(shared, "tokenizers/llama"));
      const ids = (text: string) => llama.encode(text, { bos: true, eos: true });
      expect(ids("Hello, nice to meet you!")).toEqual([1, 15043, 29892, 7575, 304, 5870, 366, 29991, 2]);
      expect(ids("你好很高兴能见到你！")).toEqual([
        1, 29871, 30919, 31076, 232, 193, 139, 30528, 31914, 30815, 235, 170, 132, 30780, 30919, 30584, 2,
      ]);
    });
  },
);
