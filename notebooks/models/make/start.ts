// What training starts from: config.json, tokenizer and random weights in a folder of their own. Next to read: exam.ts.

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { normalAt } from "../../../src/engine/random.js";
import { parseConfig } from "../../../src/model/config.js";
import { familyOf } from "../../../src/model/families/index.js";
import { type StoredTensor, writeSafetensors } from "../../../src/model/weights/index.js";
import { type TokenizerFile, tokenizerConfig } from "./tokenizer.js";

/** The tutor's shape, in config.json's words. */
export function tutorConfig(vocabulary: number) {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: vocabulary,
    hidden_size: 256,
    intermediate_size: 640,
    num_hidden_layers: 4,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: "silu",
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "bfloat16",
  };
}

/** Standard deviation of the first weights; layers that write into the residual stream have less, as in GPT-2. */
const SPREAD = 0.02;

/** Write the folder. Weights are normal with a spread of 0.02, norms 1, all from the seed. */
export async function writeStart(folder: string, tokenizer: TokenizerFile, seed: number): Promise<void> {
  const fields = tutorConfig(Object.keys(tokenizer.model.vocab).length);
  const config = parseConfig(fields);
  const quieter = SPREAD / Math.sqrt(2 * config.layers);
  const tensors = new Map<string, StoredTensor>();
  const specs = familyOf(config)
    .tensors(config, "f32", 1)
    .filter(({ values }) => values === undefined);
  for (const [at, { name, shape }] of specs.entries()) {
    const count = shape.reduce((product, size) => product * size, 1);
    const spread = /(o_proj|down_proj)\.weight$/.test(name) ? quieter : SPREAD;
    const values = Float32Array.from({ length: count }, (_, i) =>
      shape.length === 1 ? 1 : spread * normalAt(seed, 7, at, i),
    );
    tensors.set(name, { dtype: "F32", shape, data: new Uint8Array(values.buffer) });
  }
  await mkdir(folder, { recursive: true });
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors, { format: "pt" });
  const files = {
    "config.json": fields,
    "generation_config.json": { bos_token_id: 1, eos_token_id: 2, do_sample: false, max_new_tokens: 16 },
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": tokenizerConfig(fields.max_position_embeddings),
  };
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(folder, name), pretty(content));
}

/** JSON on as many lines as people need to read it, except for lists inside lists. */
function pretty(content: unknown): string {
  return `${JSON.stringify(content, undefined, 1).replace(/\[\n\s+("(?:[^"\\]|\\.)*"),\n\s+("(?:[^"\\]|\\.)*")\n\s+\]/g, "[$1, $2]")}\n`;
}
