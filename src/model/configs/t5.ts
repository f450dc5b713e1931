// The config of T5, T5 v1.1 and Flan-T5. The file's own names stand here and nowhere else.

import type { CommonConfig } from "../config.js";
import type { Reader } from "./fields.js";

/** An encoder and a decoder: RMS norm, attention with a number by distance and without a scale, relu or a gelu that gates. */
export interface T5Config extends CommonConfig {
  readonly family: "t5";
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  /** Inner size of the feed-forward block. */
  readonly intermediate: number;
  readonly heads: number;
  /** Of one head; heads * headDim need not be hidden. */
  readonly headDim: number;
  readonly normEps: number;
  /** Rows of the table of numbers by distance, and the distance from which on all share the last. */
  readonly buckets: number;
  readonly maxDistance: number;
  readonly activation: "relu" | "gated-gelu";
  /** Stands before every answer. */
  readonly decoderStart: number;
}

/** Positions are distances, so nothing but memory bounds a text; the tables of a run are as large as this at most. */
const CONTEXT = 4096;

/** Defaults are Hugging Face's: as many decoder blocks as encoder blocks, 32 buckets up to 128, eps 1e-6, relu, a tied head, padding starts. */
export function t5Config(read: Reader): T5Config {
  read.only("quantization_config", [undefined], "absent (quantised checkpoints are not read)");
  read.only("is_encoder_decoder", [undefined, true], "true (an encoder alone is not supported)");
  const encoderLayers = read.count("num_layers");
  const decoderLayers = read.count("num_decoder_layers", encoderLayers);
  const buckets = read.count("relative_attention_num_buckets", 32);
  const maxDistance = read.count("relative_attention_max_distance", 128);
  if (buckets % 4 !== 0) throw read.refuse("relative_attention_num_buckets", "a multiple of 4");
  if (maxDistance <= buckets / 2) {
    throw read.refuse("relative_attention_max_distance", `above half of relative_attention_num_buckets (${buckets})`);
  }
  const pad = read.ids("pad_token_id")[0] ?? 0;
  const eos = read.ids("eos_token_id");
  return {
    family: "t5",
    vocab: read.count("vocab_size"),
    hidden: read.count("d_model"),
    intermediate: read.count("d_ff"),
    layers: encoderLayers + decoderLayers,
    encoderLayers,
    decoderLayers,
    heads: read.count("num_heads"),
    headDim: read.count("d_kv"),
    normEps: read.positive("layer_norm_epsilon", 1e-6),
    buckets,
    maxDistance,
    activation: read.oneOf("feed_forward_proj", ["relu", "gated-gelu"], "relu"),
    tied: read.flag("tie_word_embeddings", true),
    decoderStart: read.ids("decoder_start_token_id")[0] ?? pad,
    contextTokens: CONTEXT,
    bos: undefined,
    eos: eos.length > 0 ? eos : [1],
    pad,
    storedAs: read.word("torch_dtype") ?? read.word("dtype"),
  };
}
