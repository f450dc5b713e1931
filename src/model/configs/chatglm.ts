// The config of ChatGLM-6B, the first generation. The file's own names stand here and nowhere else.

import type { CommonConfig } from "../config.js";
import type { Reader } from "./fields.js";

/** A GLM decoder: layer norm, two-dimensional rotary positions, gelu, a prefix that sees itself in both directions. */
export interface ChatGlmConfig extends CommonConfig {
  readonly family: "chatglm";
  /** Inner size of the feed-forward block. */
  readonly intermediate: number;
  readonly heads: number;
  readonly headDim: number;
  readonly normEps: number;
  /** [MASK], which stands for a blank within the text. */
  readonly mask: number;
  /** [gMASK], which stands for all that follows the text. */
  readonly gmask: number;
  /** <sop>, before what is generated. */
  readonly bos: number;
}

/**
 * Ids of the special tokens come from the file: the class that goes with it has those of the vocabulary of 150528, which were 20000
 * higher. Files from before [gMASK] was a field have it where both vocabularies do, three ids before <sop>.
 */
export function chatGlmConfig(read: Reader): ChatGlmConfig {
  refuseWhatIsNotBuilt(read);
  const hidden = read.count("hidden_size");
  const heads = read.count("num_attention_heads");
  if (hidden % (4 * heads) !== 0) {
    throw read.refuse(
      "hidden_size",
      `a multiple of 4 * num_attention_heads (${4 * heads}): each head turns pairs of two sections`,
    );
  }
  const vocab = read.count("vocab_size");
  const special = (name: string, fallback?: number): number => {
    const id = read.ids(name)[0] ?? fallback;
    if (id !== undefined && id < vocab) return id;
    throw read.refuse(name, `a token id below vocab_size (${vocab})`);
  };
  const bos = special("bos_token_id");
  return {
    family: "chatglm",
    vocab,
    hidden,
    intermediate: read.count("inner_hidden_size", 4 * hidden),
    layers: read.count("num_layers"),
    heads,
    headDim: hidden / heads,
    normEps: read.positive("layernorm_epsilon", 1e-5),
    tied: false,
    contextTokens: read.count("max_sequence_length", 2048),
    mask: special("mask_token_id", bos - 4),
    gmask: special("gmask_token_id", bos - 3),
    bos,
    eos: [special("eos_token_id")],
    pad: read.ids("pad_token_id")[0],
    storedAs: read.word("torch_dtype") ?? read.word("dtype"),
    quantized: quantizedIn(read),
  };
}

function refuseWhatIsNotBuilt(read: Reader): void {
  for (const name of ["padded_vocab_size", "ffn_hidden_size", "multi_query_attention"]) {
    read.only(name, [undefined], "absent: it belongs to ChatGLM2 and later, which are another family");
  }
  read.only("position_encoding_2d", [true], "true (others are not supported)");
  read.only("quantization_embeddings", [undefined, false], "false (quantised embeddings are not read)");
  read.only("pre_seq_len", [undefined], "null (prefixes of P-Tuning are not read)");
  read.only("prefix_projection", [undefined, false], "false (prefixes of P-Tuning are not read)");
}

/** Bits that the authors' own quantised checkpoints hold their four matrices of a block in. */
function quantizedIn(read: Reader): "int8" | "int4" | undefined {
  read.only("quantization_bit", [undefined, 0, 4, 8], "0, 4 or 8");
  const { quantization_bit: bits } = read.fields;
  return bits === 8 ? "int8" : bits === 4 ? "int4" : undefined;
}
