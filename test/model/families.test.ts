// ChatGLM and T5 beside Llama: parameter counts of what is published, the fields of their configs, distances.

import { describe, expect, test } from "vitest";
import { sketchDevice } from "../../src/engine/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { distanceBuckets } from "../../src/model/buckets.js";
import { type ChatGlmConfig, parameterCount, parseConfig, sketchModel } from "../../src/model/index.js";
import { letters } from "./tiny.js";

const chatglm6b = {
  model_type: "chatglm",
  vocab_size: 130528,
  hidden_size: 4096,
  inner_hidden_size: 16384,
  num_layers: 28,
  num_attention_heads: 32,
  layernorm_epsilon: 1e-5,
  max_sequence_length: 2048,
  position_encoding_2d: true,
  mask_token_id: 130000,
  gmask_token_id: 130001,
  bos_token_id: 130004,
  eos_token_id: 130005,
  pad_token_id: 3,
  torch_dtype: "float16",
};

const flan = (d_model: number, d_ff: number, num_heads: number, num_layers: number) => ({
  model_type: "t5",
  vocab_size: 32128,
  d_model,
  d_kv: 64,
  d_ff,
  num_heads,
  num_layers,
  feed_forward_proj: "gated-gelu",
  tie_word_embeddings: false,
  decoder_start_token_id: 0,
  eos_token_id: 1,
  pad_token_id: 0,
});

test.each([
  ["ChatGLM-6B", chatglm6b, 6_707_929_088],
  ["Flan-T5 small", flan(512, 1024, 6, 8), 76_961_152],
  ["Flan-T5 base", flan(768, 2048, 12, 12), 247_577_856],
  ["Flan-T5 large", flan(1024, 2816, 16, 24), 783_150_080],
  ["Flan-T5 XL", flan(2048, 5120, 32, 24), 2_849_757_184],
  ["Flan-T5 XXL", flan(4096, 10240, 64, 24), 11_135_332_352],
  ...(
    [
      ["LLaMA 7B", 4096, 11008, 32, 32, 6_738_415_616],
      ["LLaMA 13B", 5120, 13824, 40, 40, 13_015_864_320],
      ["LLaMA 30B", 6656, 17920, 60, 52, 32_528_943_616],
      ["LLaMA 65B", 8192, 22016, 80, 64, 65_285_660_672],
    ] as const
  ).map(([name, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, count]) => {
    const sizes = { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads };
    return [name, { model_type: "llama", vocab_size: 32000, ...sizes }, count] as const;
  }),
] as const)("%s has as many parameters as published, from its config alone", (_, fields, count) => {
  expect(parameterCount(parseConfig(fields))).toBe(count);
});

test("a sketch of ChatGLM-6B and of Flan-T5 XXL has every tensor's place and none of its values", () => {
  for (const fields of [chatglm6b, flan(4096, 10240, 64, 24)]) {
    const device = sketchDevice({ name: "test", computeDTypes: ["bf16"], workspaceBytes: () => 0 });
    const config = parseConfig(fields);
    const model = sketchModel(config, letters, { device, dtype: "bf16", contextTokens: 512 });
    expect(model.weights.bytes).toBeGreaterThanOrEqual(2 * parameterCount(config));
    expect(model.weights.bytes).toBeLessThan(2 * parameterCount(config) + 2 ** 20);
  }
});

test("adapters of ChatGLM hang on its four matrices, those of T5 on seven", () => {
  const device = referenceDevice();
  const kinds = (fields: Readonly<Record<string, unknown>>) => {
    const options = { device, dtype: "f32", contextTokens: 8 } as const;
    const names = sketchModel(parseConfig(fields), letters, options).linears.map(({ name }) => name);
    return [...new Set(names.map((name) => name.slice(name.lastIndexOf(".") + 1)))];
  };
  const small = { hidden_size: 16, inner_hidden_size: 8, num_attention_heads: 2, num_layers: 2, vocab_size: 130528 };
  expect(kinds({ ...chatglm6b, ...small })).toEqual(["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]);
  expect(kinds(flan(8, 8, 2, 1))).toEqual(["q", "k", "v", "o", "wi_0", "wi_1", "wo"]);
});

describe("the config of ChatGLM", () => {
  test("of the older vocabulary finds [gMASK] three ids before <sop>", () => {
    const { mask_token_id: _, gmask_token_id: __, ...rest } = chatglm6b;
    const older = { ...rest, vocab_size: 150528, bos_token_id: 150004, eos_token_id: 150005, pad_token_id: 20003 };
    expect(parseConfig(older) as ChatGlmConfig).toMatchObject({
      mask: 150000,
      gmask: 150001,
      bos: 150004,
      eos: [150005],
    });
  });

  test.each([
    ["quantization_bit", 2, "expected `quantization_bit` to be 0, 4 or 8, got 2"],
    ["quantization_embeddings", true, "expected `quantization_embeddings` to be false"],
    ["pre_seq_len", 128, "expected `pre_seq_len` to be null"],
    ["position_encoding_2d", false, "expected `position_encoding_2d` to be true"],
    ["padded_vocab_size", 65024, "it belongs to ChatGLM2 and later"],
    ["bos_token_id", 150004, "expected `bos_token_id` to be a token id below vocab_size (130528)"],
  ])("refuses %s %s by name", (name, value, message) => {
    expect(() => parseConfig({ ...chatglm6b, [name]: value })).toThrow(message);
  });
});

test("T5 in f16 is refused with the reason", () => {
  const device = sketchDevice({ name: "test", computeDTypes: ["f32", "f16"], workspaceBytes: () => 0 });
  const config = parseConfig(flan(8, 8, 2, 1));
  expect(() => sketchModel(config, letters, { device, dtype: "f16", contextTokens: 8 })).toThrow("grows beyond 65504");
});

describe("T5's distances, as published: the first of each bucket", () => {
  const firsts = (bothWays: boolean, ahead: boolean) => {
    const table = distanceBuckets({ buckets: 32, maxDistance: 128, bothWays });
    const found = new Map<number, number>();
    for (let steps = 0; steps <= 128; steps++) {
      const bucket = table[128 + (ahead ? steps : -steps)] as number;
      if (!found.has(bucket)) found.set(bucket, steps);
    }
    return [...found];
  };
  const widening = (start: number, steps: readonly number[]) => steps.map((first, i) => [start + i, first]);

  test("of the encoder, behind and ahead", () => {
    const exact = widening(0, [0, 1, 2, 3, 4, 5, 6, 7]);
    const wide = widening(8, [8, 12, 16, 23, 32, 46, 64, 91]);
    expect(firsts(true, false)).toEqual([...exact, ...wide]);
    const beyond = [...exact.slice(1), ...wide].map(([bucket, first]) => [(bucket as number) + 16, first]);
    expect(firsts(true, true)).toEqual([[0, 0], ...beyond]);
  });

  test("of the decoder, where what is ahead counts as distance 0", () => {
    const wide = [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113];
    expect(firsts(false, false)).toEqual([
      ...widening(
        0,
        Array.from({ length: 16 }, (_, i) => i),
      ),
      ...widening(16, wide),
    ]);
    expect(firsts(false, true)).toEqual([[0, 0]]);
  });
});
