// A Llama in Hugging Face's layout as one GGUF file, which llama.cpp and what is built on it read. The format: weights/gguf.ts.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { loadTokenizer } from "../tokens/index.js";
import { PieceKind, readSentencePieceModel } from "../tokens/sentencepiece-model.js";
import { type LlamaConfig, type ModelConfig, readConfig } from "./config.js";
import { BLOCK, type GgufTensor, type GgufType, type GgufValue, writeGguf } from "./weights/gguf.js";
import { CheckpointError, openCheckpoint, type TensorFile } from "./weights/index.js";

export interface GgufOptions {
  /** How matrices are stored; norms stay f32, and rows that are no multiple of 32 are f16. @default "f16" */
  readonly type?: GgufMatrixType | undefined;
  /** Told after each tensor how many are written, and of how many. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export const ggufMatrixTypes = ["f16", "q8_0"] as const;
export type GgufMatrixType = (typeof ggufMatrixTypes)[number];

/** Names in a GGUF file by those of the checkpoint; `*` is the layer. */
const names: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
  "model.layers.*.input_layernorm": "blk.*.attn_norm",
  "model.layers.*.self_attn.q_proj": "blk.*.attn_q",
  "model.layers.*.self_attn.k_proj": "blk.*.attn_k",
  "model.layers.*.self_attn.v_proj": "blk.*.attn_v",
  "model.layers.*.self_attn.o_proj": "blk.*.attn_output",
  "model.layers.*.post_attention_layernorm": "blk.*.ffn_norm",
  "model.layers.*.mlp.gate_proj": "blk.*.ffn_gate",
  "model.layers.*.mlp.up_proj": "blk.*.ffn_up",
  "model.layers.*.mlp.down_proj": "blk.*.ffn_down",
};

/**
 * Write a model folder as a GGUF file: a merged model's, or any Llama's.
 *
 * @param folder - Llama or Mistral with a SentencePiece tokenizer.model.
 * @throws CheckpointError when the model is of a kind that this does not write, naming what, or a file does not hold.
 */
export async function exportGguf(
  folder: string,
  into: string,
  { type = "f16", onProgress }: GgufOptions = {},
): Promise<void> {
  const config = readConfig(folder);
  refuseOthers(folder, config);
  const settings = new Map<string, GgufValue>([
    ...modelSettings(folder, config, type),
    ...(await tokenizerSettings(folder, config)),
  ]);
  const file = await openCheckpoint(folder);
  try {
    const tensors = [...file.tensors.keys()].flatMap((name) => tensorOf(file, name, config, type));
    await writeGguf(into, settings, counted(tensors, onProgress));
  } finally {
    await file.close();
  }
}

/** The same tensors, telling as each has given its last value. */
function counted(tensors: readonly GgufTensor[], onProgress: GgufOptions["onProgress"]): GgufTensor[] {
  let done = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    async *values() {
      yield* tensor.values();
      done += 1;
      onProgress?.(done, tensors.length);
    },
  }));
}

function refuseOthers(folder: string, config: ModelConfig): asserts config is LlamaConfig {
  const refuse = (what: string) =>
    new CheckpointError(folder, `is not written as GGUF: ${what} (Llama and Mistral with a tokenizer.model are)`);
  if (config.family !== "llama" && config.family !== "mistral") throw refuse(`it is a ${config.family}`);
  if (config.qkvBias || config.outputBias || config.mlpBias) throw refuse("its projections have biases");
  if (config.ropeScaling) throw refuse(`its positions are scaled (${config.ropeScaling.kind})`);
}

function modelSettings(folder: string, config: LlamaConfig, type: GgufMatrixType): [string, GgufValue][] {
  const u32 = (value: number): GgufValue => ({ kind: "u32", value });
  return [
    ["general.architecture", { kind: "string", value: "llama" }],
    ["general.name", { kind: "string", value: path.basename(path.resolve(folder)) }],
    ["general.file_type", u32(type === "f16" ? 1 : 7)],
    ["general.quantization_version", u32(2)],
    ["llama.block_count", u32(config.layers)],
    ["llama.context_length", u32(config.contextTokens)],
    ["llama.embedding_length", u32(config.hidden)],
    ["llama.feed_forward_length", u32(config.intermediate)],
    ["llama.attention.head_count", u32(config.heads)],
    ["llama.attention.head_count_kv", u32(config.kvHeads)],
    ["llama.attention.key_length", u32(config.headDim)],
    ["llama.attention.value_length", u32(config.headDim)],
    ["llama.attention.layer_norm_rms_epsilon", { kind: "f32", value: config.normEps }],
    ["llama.rope.dimension_count", u32(config.headDim)],
    ["llama.rope.freq_base", { kind: "f32", value: config.ropeTheta }],
    ["llama.vocab_size", u32(config.vocab)],
  ];
}

async function tokenizerSettings(folder: string, config: LlamaConfig): Promise<[string, GgufValue][]> {
  const file = path.join(folder, "tokenizer.model");
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new CheckpointError(file, `cannot be read, and a GGUF file needs it: ${(cause as Error).message}`, { cause });
  }
  const { pieces, dummyPrefix, unk, kind } = readSentencePieceModel(bytes, file);
  if (kind !== "bpe") throw new CheckpointError(file, "is a Unigram model, which is not written as GGUF: only BPE is");
  const tokenizer = await loadTokenizer(folder);
  // Kinds have the same numbers in both formats. Rows of the embedding beyond the pieces are added tokens, then nothing.
  const rows = Array.from({ length: config.vocab }, (_, id) => {
    const piece = pieces[id];
    if (piece) return piece;
    return id < tokenizer.vocab
      ? { text: tokenizer.tokenText(id), score: -1000, kind: PieceKind.userDefined }
      : { text: `[PAD${id}]`, score: -1000, kind: PieceKind.unused };
  });
  const ids = { bos: tokenizer.bos, eos: tokenizer.eos, unknown: unk };
  return [
    ["tokenizer.ggml.model", { kind: "string", value: "llama" }],
    ["tokenizer.ggml.tokens", { kind: "strings", value: rows.map(({ text }) => text) }],
    ["tokenizer.ggml.scores", { kind: "f32s", value: rows.map(({ score }) => score) }],
    ["tokenizer.ggml.token_type", { kind: "i32s", value: rows.map((row) => row.kind) }],
    ...Object.entries(ids).flatMap(([role, id]): [string, GgufValue][] =>
      id === undefined ? [] : [[`tokenizer.ggml.${role}_token_id`, { kind: "u32", value: id }]],
    ),
    ["tokenizer.ggml.add_bos_token", { kind: "bool", value: tokenizer.bos !== undefined }],
    ["tokenizer.ggml.add_eos_token", { kind: "bool", value: false }],
    ["tokenizer.ggml.add_space_prefix", { kind: "bool", value: dummyPrefix }],
  ];
}

/** One tensor under its new name; none for what every reader computes itself. */
function tensorOf(file: TensorFile, name: string, config: LlamaConfig, wanted: GgufMatrixType): GgufTensor[] {
  if (name.endsWith("rotary_emb.inv_freq") || (name === "lm_head.weight" && config.tied)) return [];
  const layer = /\.layers\.(\d+)\./.exec(name)?.[1] ?? "";
  const known = names[name.replace(/\.weight$/, "").replace(/\.layers\.\d+\./, ".layers.*.")];
  if (known === undefined)
    throw new CheckpointError(file.path, "has no name in a GGUF file of a Llama", { tensor: name });
  const { shape } = file.tensors.get(name) as { readonly shape: readonly number[] };
  const fits = (shape.at(-1) as number) % BLOCK === 0;
  const type: GgufType = shape.length === 1 ? "f32" : wanted === "q8_0" && !fits ? "f16" : wanted;
  const heads = name.includes(".q_proj.") ? config.heads : name.includes(".k_proj.") ? config.kvHeads : 0;
  const values = () => (heads > 0 ? turned(file, name, heads) : plain(file, name));
  return [{ name: `${known.replace("*", layer)}.weight`, shape, type, values }];
}

async function* plain(file: TensorFile, name: string): AsyncGenerator<Float32Array> {
  for await (const { data } of file.pieces(name, "f32")) yield new Float32Array(data.slice().buffer);
}

/** Rows of q and k by neighbouring pairs, as llama.cpp turns them: row i of a head's first half, then row i of its second. */
async function* turned(file: TensorFile, name: string, heads: number): AsyncGenerator<Float32Array> {
  const { shape } = file.tensors.get(name) as { readonly shape: readonly number[] };
  const [rows, width] = shape as [number, number];
  const whole = new Float32Array(rows * width);
  for await (const { offset, data } of file.pieces(name, "f32"))
    whole.set(new Float32Array(data.slice().buffer), offset / 4);
  const half = rows / heads / 2;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < 2 * half; i++) {
      const row = head * 2 * half + Math.floor(i / 2) + (i % 2) * half;
      yield whole.subarray(row * width, (row + 1) * width);
    }
  }
}
