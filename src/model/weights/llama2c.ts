// Checkpoints of llama2.c (.bin): seven numbers, then every matrix of a Llama in f32, one after the other. Next to read: shards.ts.

import { type OpenFile, openBytes } from "./bytes.js";
import { CheckpointError } from "./error.js";
import { byHalves } from "./pairs.js";
import { type StridedInfo, type TensorFile, tensorFile } from "./tensors.js";

/** "ak42", at the start of files of version 1 and later. */
const MAGIC = 0x616b3432;
/** Version 1's header is filled up to this. */
const HEADER_BYTES = 256;

interface Sizes {
  readonly version: 0 | 1;
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  readonly contextTokens: number;
  /** Whether the head is the embedding. */
  readonly tied: boolean;
}

/**
 * Open a checkpoint of llama2.c with the names that Hugging Face has for a Llama's tensors; `metadata.config` is what config.json would say.
 * Its rotary positions turn neighbouring pairs, Hugging Face's the two halves of a head: rows of q and k are put in that order as they are read.
 *
 * @returns undefined when the file is something else.
 * @throws CheckpointError when it is truncated, or quantised (version 2).
 * @see https://github.com/karpathy/llama2.c/blob/master/export.py
 */
export async function openLlama2c(path: string): Promise<TensorFile | undefined> {
  const file = await openBytes(path);
  try {
    const sizes = sizesOf(file);
    if (sizes) {
      const { tensors, end } = tensorsOf(path, sizes);
      if (end === file.bytes) return tensorFile(file, tensors, { config: JSON.stringify(configOf(sizes)) });
      throw new CheckpointError(
        path,
        `a llama2.c checkpoint of ${sizes.layers} layers of ${sizes.hidden} has ${end} bytes, the file has ${file.bytes}: it is truncated, download it again`,
      );
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

function sizesOf({ path, head, bytes }: OpenFile): Sizes | undefined {
  if (bytes < HEADER_BYTES) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const marked = view.getUint32(0, true) === MAGIC;
  const version = marked ? view.getInt32(4, true) : 0;
  if (version !== 0 && version !== 1)
    throw new CheckpointError(
      path,
      `it is a llama2.c checkpoint of version ${version}, which is quantised and not read: export it with --version 0 or 1`,
    );
  const at = marked ? 8 : 0;
  const [hidden, intermediate, layers, heads, kvHeads, vocab, contextTokens] = Array.from({ length: 7 }, (_, i) =>
    view.getInt32(at + 4 * i, true),
  ) as [number, number, number, number, number, number, number];
  const all = [hidden, intermediate, layers, heads, kvHeads, Math.abs(vocab), contextTokens];
  // Other files begin with numbers that make no Llama: "PK" alone is a hidden size of 67 million.
  const plausible = all.every((size) => size >= 1 && size < 2 ** 20) && hidden % heads === 0 && heads % kvHeads === 0;
  if (!plausible || (hidden / heads) % 2 !== 0) return undefined;
  const tied = marked ? view.getUint8(36) === 1 : vocab > 0;
  return { version, hidden, intermediate, layers, heads, kvHeads, vocab: Math.abs(vocab), contextTokens, tied };
}

/** Every tensor and where it lies, in the order of export.py. */
function tensorsOf(file: string, sizes: Sizes): { tensors: ReadonlyMap<string, StridedInfo>; end: number } {
  const { version, hidden, intermediate, layers, heads, kvHeads, vocab, contextTokens, tied } = sizes;
  const tensors = new Map<string, StridedInfo>();
  const headDim = hidden / heads;
  let end = version === 0 ? 28 : HEADER_BYTES;
  const put = (name: string, shape: readonly number[], turned = 0) => {
    const bytes = shape.reduce((product, size) => product * size, 4);
    const info = { name, dtype: "F32", shape, file, offset: end, bytes } as const;
    tensors.set(name, turned > 0 ? byHalves(info, turned) : info);
    end += bytes;
  };
  const each = (name: string, shape: readonly number[], turned = 0) => {
    for (let layer = 0; layer < layers; layer++) put(`model.layers.${layer}.${name}.weight`, shape, turned);
  };
  const embedding = () => put("model.embed_tokens.weight", [vocab, hidden]);
  const attention = () => {
    each("self_attn.q_proj", [hidden, hidden], heads);
    each("self_attn.k_proj", [kvHeads * headDim, hidden], kvHeads);
    each("self_attn.v_proj", [kvHeads * headDim, hidden]);
    each("self_attn.o_proj", [hidden, hidden]);
  };
  const feedForward = () => {
    each("mlp.gate_proj", [intermediate, hidden]);
    each("mlp.down_proj", [hidden, intermediate]);
    each("mlp.up_proj", [intermediate, hidden]);
  };
  const norms = ["input_layernorm", "post_attention_layernorm"] as const;
  if (version === 0) {
    embedding();
    each(norms[0], [hidden]);
    attention();
    each(norms[1], [hidden]);
    feedForward();
    put("model.norm.weight", [hidden]);
    end += contextTokens * headDim * 4; // cos and sin of the positions, computed here instead
  } else {
    for (const norm of norms) each(norm, [hidden]);
    put("model.norm.weight", [hidden]);
    embedding();
    attention();
    feedForward();
  }
  if (!tied) put("lm_head.weight", [vocab, hidden]);
  return { tensors, end };
}

function configOf({ hidden, intermediate, layers, heads, kvHeads, vocab, contextTokens, tied }: Sizes) {
  return {
    model_type: "llama",
    vocab_size: vocab,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: contextTokens,
    tie_word_embeddings: tied,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "float32",
  };
}
