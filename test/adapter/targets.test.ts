// The layers that can carry LoRA: counts as published for real models, from their configs alone.

import { expect, test } from "vitest";
import { loraTargets, type Targets } from "../../src/adapter/index.js";
import { familyOf, parseConfig } from "../../src/model/index.js";
import { table } from "../../src/widgets/index.js";

const llama = (hidden_size: number, intermediate_size: number, layers: number, heads: number) => ({
  ...{ model_type: "llama", vocab_size: 32000, hidden_size, intermediate_size },
  ...{ num_hidden_layers: layers, num_attention_heads: heads },
});
const chatglm = {
  ...{ model_type: "chatglm", vocab_size: 130528, hidden_size: 4096, inner_hidden_size: 16384, num_layers: 28 },
  ...{ num_attention_heads: 32, position_encoding_2d: true, bos_token_id: 130004, eos_token_id: 130005 },
};
const flanXxl = {
  ...{ model_type: "t5", vocab_size: 32128, d_model: 4096, d_ff: 10240, num_heads: 64, d_kv: 64, num_layers: 24 },
  ...{ feed_forward_proj: "gated-gelu", tie_word_embeddings: false, decoder_start_token_id: 0, eos_token_id: 1 },
};
const linearsOf = (fields: Readonly<Record<string, unknown>>) => {
  const config = parseConfig(fields);
  return { linears: familyOf(config).linears(config) };
};

test.each<[string, Readonly<Record<string, unknown>>, number, Targets, number]>([
  ["LLaMA 7B, q and v", llama(4096, 11008, 32, 32), 8, ["q_proj", "v_proj"], 4_194_304],
  ["LLaMA 7B, q, k, v and o", llama(4096, 11008, 32, 32), 16, ["q_proj", "k_proj", "v_proj", "o_proj"], 16_777_216],
  ["LLaMA 7B, all", llama(4096, 11008, 32, 32), 8, "all-linear", 19_988_480],
  ["LLaMA 13B, q and v", llama(5120, 13824, 40, 40), 8, ["q_proj", "v_proj"], 6_553_600],
  ["LLaMA 30B, q and v", llama(6656, 17920, 60, 52), 8, ["q_proj", "v_proj"], 12_779_520],
  ["ChatGLM-6B, query_key_value", chatglm, 8, ["query_key_value"], 3_670_016],
  ["Flan-T5 XXL, q and v", flanXxl, 16, ["q", "v"], 18_874_368],
])("%s: as many numbers train as published", (_, fields, rank, targets, trained) => {
  const list = loraTargets(linearsOf(fields), { rank, targets });
  expect(list.reduce((sum, target) => sum + target.trained, 0)).toBe(trained);
});

test("kinds of layers come in order of use, with shapes, and stand in a table", () => {
  const list = loraTargets(linearsOf(chatglm));
  expect(list[0]).toEqual({
    target: "query_key_value",
    name: "transformer.layers.*.attention.query_key_value",
    layers: 28,
    outputs: 12288,
    inputs: 4096,
    parameters: 28 * 12288 * 4096,
    trained: 3_670_016,
  });
  expect(list.map(({ target }) => target)).toEqual(["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]);
  expect(table(list).toString().split("\n")).toHaveLength(5);
});

test("one name of layers in encoder and decoder has a row for each place", () => {
  const names = loraTargets(linearsOf(flanXxl), { targets: ["q"] }).map(({ name, layers }) => `${name} ${layers}`);
  expect(names).toEqual([
    "encoder.block.*.layer.*.SelfAttention.q 24",
    "decoder.block.*.layer.*.SelfAttention.q 24",
    "decoder.block.*.layer.*.EncDecAttention.q 24",
  ]);
});

test("a rank that is none is refused", () => {
  expect(() => loraTargets({ linears: [] }, { rank: 0 })).toThrow(
    "loraTargets: expected `rank` to be an integer from 1, got 0",
  );
});
