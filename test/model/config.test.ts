import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LlamaConfig, parseConfig, readConfig } from "../../src/model/config.js";
import { parameterCount } from "../../src/model/families/index.js";
import { ropeFrequencies } from "../../src/model/frequencies.js";
import { openCheckpoint } from "../../src/model/weights/index.js";

/** Llama 2 7B as its config.json has it. */
const llama7b = {
  model_type: "llama",
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  vocab_size: 32000,
  rms_norm_eps: 1e-5,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: "float16",
};

test("a config gives its fields, and Hugging Face's defaults for the rest", () => {
  expect(parseConfig(llama7b)).toEqual({
    family: "llama",
    vocab: 32000,
    hidden: 4096,
    intermediate: 11008,
    layers: 32,
    heads: 32,
    kvHeads: 32,
    headDim: 128,
    normEps: 1e-5,
    ropeTheta: 10000,
    ropeScaling: undefined,
    contextTokens: 2048,
    tied: false,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    bos: 1,
    eos: [2],
    pad: undefined,
    storedAs: "float16",
  } satisfies LlamaConfig);
});

test.each([
  // Published parameter counts.
  ["Llama 2 7B", llama7b, 6_738_415_616],
  [
    "Llama 3.2 1B",
    {
      ...llama7b,
      hidden_size: 2048,
      intermediate_size: 8192,
      num_hidden_layers: 16,
      num_key_value_heads: 8,
      head_dim: 64,
      vocab_size: 128256,
      tie_word_embeddings: true,
    },
    1_235_814_400,
  ],
  [
    "Qwen 2.5 0.5B",
    {
      ...llama7b,
      model_type: "qwen2",
      hidden_size: 896,
      intermediate_size: 4864,
      num_hidden_layers: 24,
      num_attention_heads: 14,
      num_key_value_heads: 2,
      vocab_size: 151936,
      tie_word_embeddings: true,
    },
    494_032_768,
  ],
] as const)("%s has as many parameters as published", (_, fields, count) => {
  expect(parameterCount(parseConfig(fields))).toBe(count);
});

test("an end token may be one of several, or absent", () => {
  expect(parseConfig({ ...llama7b, eos_token_id: [128001, 128008] }).eos).toEqual([128001, 128008]);
  expect(parseConfig({ ...llama7b, eos_token_id: null, pad_token_id: -1 })).toMatchObject({ eos: [], pad: undefined });
});

test("what transformers 5 writes is read alike", () => {
  const { torch_dtype: _, ...rest } = llama7b;
  const config = parseConfig({
    ...rest,
    dtype: "bfloat16",
    rope_parameters: { rope_type: "default", rope_theta: 500000 },
  });
  expect(config).toMatchObject({ ropeTheta: 500000, ropeScaling: undefined, storedAs: "bfloat16" });
});

describe("rotary frequencies", () => {
  test("follow theta", () => {
    const config = parseConfig({ ...llama7b, hidden_size: 8, num_attention_heads: 2, rope_theta: 10000 });
    expect([...ropeFrequencies(config as LlamaConfig)]).toEqual([1, 0.01]);
  });

  test("are divided by a linear factor", () => {
    const config = parseConfig({
      ...llama7b,
      hidden_size: 8,
      num_attention_heads: 2,
      rope_scaling: { type: "linear", factor: 4 },
    });
    expect([...ropeFrequencies(config as LlamaConfig)]).toEqual([0.25, 0.0025]);
  });

  test("of llama3 keep fast pairs, slow the slow ones, and blend between", () => {
    const scaling = {
      rope_type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const fields = { ...llama7b, head_dim: 128, rope_theta: 500000, rope_scaling: scaling };
    const scaled = ropeFrequencies(parseConfig(fields) as LlamaConfig);
    const plain = Float64Array.from({ length: 64 }, (_, i) => 500000 ** (-i / 64));
    expect(scaled[0]).toBe(1);
    expect(scaled[63]).toBeCloseTo(plain[63]! / 8, 15);
    // By hand for pair 32: 1/707.1068 rad per token turns 8192 / (2 pi 707.1068) = 1.843859 times; share kept (1.843859 - 1) / 3 = 0.281286.
    expect(scaled[32]! / plain[32]!).toBeCloseTo(0.281286 + (1 - 0.281286) / 8, 5);
  });
});

test.each([
  [
    { model_type: "gpt2" },
    'config.json: expected `model_type` to be one of llama, mistral, qwen2, chatglm, t5, got "gpt2"',
  ],
  [{ hidden_size: undefined }, "expected `hidden_size` to be a whole number from 1, it is missing"],
  [{ vocab_size: "32000" }, 'expected `vocab_size` to be a whole number from 1, got "32000"'],
  [{ num_hidden_layers: 0 }, "expected `num_hidden_layers` to be a whole number from 1, got 0"],
  [{ num_key_value_heads: 5 }, "expected `num_key_value_heads` to be a divisor of num_attention_heads (32), got 5"],
  [
    { hidden_size: 4100 },
    "expected `hidden_size` to be a multiple of num_attention_heads (32), or a `head_dim`, got 4100",
  ],
  [{ head_dim: 7 }, "expected `head_dim` to be an even number: rotary positions turn pairs, got 7"],
  [{ hidden_act: "gelu" }, 'expected `hidden_act` to be "silu" (others are not supported), got "gelu"'],
  [{ rms_norm_eps: -1 }, "expected `rms_norm_eps` to be a number above 0, got -1"],
  [{ tie_word_embeddings: "yes" }, 'expected `tie_word_embeddings` to be true or false, got "yes"'],
  [{ eos_token_id: "</s>" }, 'expected `eos_token_id` to be a token id, or a list of them, got "</s>"'],
  [
    { rope_scaling: { type: "yarn", factor: 4 } },
    'expected `rope_scaling.rope_type` to be default, linear or llama3 (others are not supported), got "yarn"',
  ],
  [{ rope_scaling: { type: "linear" } }, "expected `rope_scaling.factor` to be a number above 0, it is missing"],
  [
    { quantization_config: { bits: 4 } },
    'expected `quantization_config` to be absent (quantised checkpoints are not read), got {"bits":4}',
  ],
  [
    { model_type: "mistral", num_key_value_heads: 8 },
    "expected `sliding_window` to be null, or at least max_position_embeddings (131072); windows are not supported, it is missing",
  ],
  [
    { model_type: "qwen2", num_key_value_heads: 8, use_sliding_window: true },
    "expected `use_sliding_window` to be false (windows are not supported), got true",
  ],
])("%j is refused by name", (change, message) => {
  expect(() => parseConfig({ ...llama7b, ...change })).toThrow(message);
});

describe("a folder", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "config-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("that is missing, or has no config.json, or a broken one, is refused saying which", async () => {
    expect(() => readConfig(path.join(folder, "nowhere"))).toThrow("nowhere: there is no such folder");
    expect(() => readConfig(folder)).toThrow("config.json: there is no such file: a model folder needs one");
    await writeFile(path.join(folder, "config.json"), '{\n  "model_type": "llama",\n  hidden_size: 1\n}');
    expect(() => readConfig(folder)).toThrow("config.json:3:3: expected a key in double quotes");
    await writeFile(path.join(folder, "config.json"), "[]");
    expect(() => readConfig(folder)).toThrow("config.json: expected a JSON object");
  });
});

const shared = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets/models/stories260k");
test.skipIf(!existsSync(shared))(
  "a real small model has the parameters its weights have (skipped where ../shared/assets is absent)",
  async () => {
    const config = readConfig(shared);
    const weights = await openCheckpoint(shared);
    const stored = [...weights.tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    await weights.close();
    expect(parameterCount(config)).toBe(stored);
  },
);
