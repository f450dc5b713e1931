import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError, exportGguf, openCheckpoint } from "../../src/model/index.js";
import { expectClose } from "../close.js";
import { modelFolder } from "./folder.js";
import { type GgufFile, readGguf } from "./gguf-reader.js";

const golden = JSON.parse(readFileSync(new URL("../golden/sentencepiece.json", import.meta.url), "utf8")) as {
  cases: { model: string }[];
};
const sizes = { hidden: 32, intermediate: 48, layers: 2, heads: 4, kvHeads: 2, headDim: 8, vocab: 424, tied: false };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "gguf-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function model(config: object = {}, fields: object = {}): Promise<string> {
  const at = await modelFolder({ config: { ...sizes, ...config }, fields: fields as Record<string, unknown> });
  rmSync(path.join(at, "tokenizer.json"));
  writeFileSync(path.join(at, "tokenizer.model"), Buffer.from(golden.cases[0]?.model as string, "base64"));
  return at;
}

async function exported(from: string, type: "f16" | "q8_0"): Promise<{ file: string; read: GgufFile }> {
  const file = path.join(folder, `${type}.gguf`);
  await exportGguf(from, file, { type });
  return { file, read: readGguf(readFileSync(file)) };
}

describe.each(["f16", "q8_0"] as const)("a model written as %s", (type) => {
  test("has every tensor, under llama.cpp's names, within one rounding", async () => {
    const from = await model();
    const { read } = await exported(from, type);
    const file = await openCheckpoint(from);
    expect(read.tensors.size).toBe(file.tensors.size);
    const weights = async (name: string) => new Float32Array((await file.tensor(name)).data.buffer);
    const near = async (name: string, ours: string) => {
      const found = read.tensors.get(name);
      const expected = await weights(ours);
      const largest = Math.max(...expected.map(Math.abs));
      const step = found?.type === 8 ? (largest / 127) * 0.52 : largest * 2 ** -11;
      expectClose(found?.values, expected, { absolute: found?.type === 0 ? 0 : step }, name);
    };
    await near("token_embd.weight", "model.embed_tokens.weight");
    await near("output.weight", "lm_head.weight");
    await near("output_norm.weight", "model.norm.weight");
    await near("blk.1.attn_norm.weight", "model.layers.1.input_layernorm.weight");
    await near("blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight");
    await near("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight");
    await near("blk.0.attn_output.weight", "model.layers.0.self_attn.o_proj.weight");
    await near("blk.0.ffn_gate.weight", "model.layers.0.mlp.gate_proj.weight");
    await near("blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj.weight");
    await near("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight");
    expect(read.tensors.get("blk.1.ffn_down.weight")).toMatchObject({ type: 1, shape: [32, 48] }); // 48 is no multiple of 32
    expect(read.tensors.get("blk.1.attn_q.weight")?.type).toBe(type === "f16" ? 1 : 8);
    // Rows of q by neighbouring pairs: 0, 4, 1, 5, 2, 6, 3, 7 of each head of 8.
    const q = await weights("model.layers.1.self_attn.q_proj.weight");
    const rows = Array.from({ length: 32 }, (_, i) => 8 * Math.floor(i / 8) + Math.floor((i % 8) / 2) + 4 * (i % 2));
    const turned = rows.flatMap((row) => [...q.subarray(row * 32, (row + 1) * 32)]);
    expectClose(read.tensors.get("blk.1.attn_q.weight")?.values, turned, { absolute: 0.005 }, "attn_q");
    await file.close();
  });

  test("has the settings and the vocabulary that llama.cpp asks for", async () => {
    const { settings } = (await exported(await model(), type)).read;
    expect(Object.fromEntries(settings)).toMatchObject({
      "general.architecture": "llama",
      "general.file_type": type === "f16" ? 1 : 7,
      "llama.block_count": 2,
      "llama.embedding_length": 32,
      "llama.feed_forward_length": 48,
      "llama.attention.head_count": 4,
      "llama.attention.head_count_kv": 2,
      "llama.rope.dimension_count": 8,
      "llama.rope.freq_base": 10000,
      "llama.vocab_size": 424,
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.bos_token_id": 1,
      "tokenizer.ggml.eos_token_id": 2,
      "tokenizer.ggml.unknown_token_id": 0,
      "tokenizer.ggml.add_bos_token": true,
    });
    const tokens = settings.get("tokenizer.ggml.tokens") as string[];
    const types = settings.get("tokenizer.ggml.token_type") as number[];
    expect([tokens.length, types.length, (settings.get("tokenizer.ggml.scores") as number[]).length]).toEqual([
      424, 424, 424,
    ]);
    expect([tokens[1], types[1], tokens[423], types[423]]).toEqual(["<s>", 3, "[PAD423]", 5]);
  });
});

const python = process.env["TUNEBOOK_GOLDEN_PYTHON"];
const hasGguf = (() => {
  if (!python) return false;
  try {
    execFileSync(python, ["-c", "import gguf"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
test.skipIf(!hasGguf).each(["f16", "q8_0"] as const)(
  "the gguf package reads the same of a file of %s (needs TUNEBOOK_GOLDEN_PYTHON with gguf)",
  async (type) => {
    const { file, read } = await exported(await model(), type);
    const script = path.join(import.meta.dirname, "../golden/read_gguf.py");
    const said = JSON.parse(
      execFileSync(python as string, [script, file], { encoding: "utf8", maxBuffer: 1 << 28 }),
    ) as {
      settings: Record<string, unknown>;
      tensors: Record<string, { type: string; shape: number[]; values: number[] }>;
    };
    expect(said.settings).toEqual(Object.fromEntries(read.settings));
    expect(Object.keys(said.tensors).sort()).toEqual([...read.tensors.keys()].sort());
    for (const [name, { shape, values }] of Object.entries(said.tensors)) {
      expect(read.tensors.get(name)?.shape).toEqual(shape);
      expectClose(read.tensors.get(name)?.values, values, {}, name);
    }
  },
  60_000,
);

test("what is not written is refused by name, and no file is left", async () => {
  const file = path.join(folder, "none.gguf");
  const refused = async (from: string) => {
    const error = await exportGguf(from, file).catch((reason: unknown) => reason as Error);
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as Error).message.replace(from, "model");
  };
  expect(await refused(await model({ family: "qwen2", qkvBias: true }))).toBe(
    "model: is not written as GGUF: it is a qwen2 (Llama and Mistral with a tokenizer.model are)",
  );
  expect(await refused(await model({}, { rope_scaling: { type: "linear", factor: 2 } }))).toContain(
    "its positions are scaled (linear)",
  );
  const from = await model();
  rmSync(path.join(from, "tokenizer.model"));
  expect(await refused(from)).toContain("model/tokenizer.model: cannot be read, and a GGUF file needs it");
  expect(readdirSync(folder).filter((name) => name.includes("none"))).toEqual([]);
});
