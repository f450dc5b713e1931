// A model folder in Hugging Face's layout, written for a test: random weights and a tokenizer of single characters.

import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { LlamaConfig } from "../../src/model/config.js";
import { familyOf } from "../../src/model/families/index.js";
import { convert, writeSafetensors } from "../../src/model/weights/index.js";
import { seededValues, tinyConfig } from "./tiny.js";

export interface FolderOptions {
  readonly config?: Partial<LlamaConfig>;
  /** Laid over config.json as it is written. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Shapes other than the config's, by tensor; undefined leaves the tensor out. */
  readonly shapes?: Readonly<Record<string, readonly number[] | undefined>>;
  /** Values in place of the seeded ones, by tensor and place. */
  readonly values?: Readonly<Record<string, Readonly<Record<number, number>>>>;
  /** Dtype of the file. @default "F32" */
  readonly storedAs?: "F32" | "BF16" | "F16";
  /** Characters of the vocabulary after <unk>, <s> and </s>. */
  readonly characters?: string;
}

export async function modelFolder(options: FolderOptions = {}): Promise<string> {
  const { shapes = {}, values = {}, storedAs = "F32", characters = "abcdefghijklmnopqrstu" } = options;
  const config = { ...tinyConfig, ...options.config };
  const folder = await mkdtemp(path.join(tmpdir(), "tunebook-model-"));
  const specs = familyOf(config)
    .tensors(config, "f32", 1)
    .filter((spec) => !spec.values);
  const tensors = specs.flatMap((spec, at) => {
    if (Object.hasOwn(shapes, spec.name) && !shapes[spec.name]) return [];
    const shape = shapes[spec.name] ?? spec.shape;
    const numbers = seededValues({ ...spec, shape }, at);
    for (const [place, value] of Object.entries(values[spec.name] ?? {})) numbers[Number(place)] = value;
    const wanted = ({ F32: "f32", BF16: "bf16", F16: "f16" } as const)[storedAs];
    const data = convert(new Uint8Array(numbers.buffer), "F32", wanted) as Uint8Array;
    return [[spec.name, { dtype: storedAs, shape, data }] as const];
  });
  await writeSafetensors(path.join(folder, "model.safetensors"), new Map(tensors), {});
  const fields = {
    model_type: config.family,
    vocab_size: config.vocab,
    hidden_size: config.hidden,
    intermediate_size: config.intermediate,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeTheta,
    max_position_embeddings: config.contextTokens,
    tie_word_embeddings: config.tied,
    bos_token_id: 1,
    eos_token_id: 2,
    ...options.fields,
  };
  await writeFile(path.join(folder, "config.json"), JSON.stringify(fields));
  await writeFile(path.join(folder, "tokenizer.json"), JSON.stringify(characterTokenizer(characters)));
  return folder;
}

function characterTokenizer(characters: string) {
  const special = ["<unk>", "<s>", "</s>"];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries([...special, ...characters].map((token, id) => [token, id])),
      merges: [],
    },
  };
}
