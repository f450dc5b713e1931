// The config of the Llama family: Llama itself, Mistral, Qwen2. The file's own names stand here and nowhere else.

import type { CommonConfig } from "../config.js";
import type { Reader } from "./fields.js";

/** How rotary frequencies are stretched beyond the context of pre-training; see frequencies.ts. */
export type RopeScaling =
  | { readonly kind: "linear"; readonly factor: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      /** Context of pre-training, in tokens. */
      readonly originalContext: number;
    };

/** A decoder of the Llama family: RMSNorm, rotary positions, grouped-query attention, SwiGLU. */
export interface LlamaConfig extends CommonConfig {
  readonly family: "llama" | "mistral" | "qwen2";
  /** Inner size of the feed-forward block. */
  readonly intermediate: number;
  readonly heads: number;
  /** Key and value heads, each shared by heads / kvHeads query heads. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | undefined;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
}

export const llamaFamilies = ["llama", "mistral", "qwen2"] as const;
/** What Hugging Face takes for an absent max_position_embeddings. */
const contextOf = { llama: 2048, mistral: 131072, qwen2: 32768 } as const;

/**
 * Defaults are Hugging Face's: key and value heads as many as heads (llama only), head size hidden / heads, eps 1e-6,
 * theta 10000, context 2048 (llama), an untied head, no biases (qwen2: biases on q, k and v).
 */
export function llamaConfig(read: Reader): LlamaConfig {
  const family = read.oneOf("model_type", llamaFamilies, undefined);
  refuseWhatIsNotBuilt(read, family);
  const hidden = read.count("hidden_size");
  const heads = read.count("num_attention_heads");
  const kvHeads = read.count("num_key_value_heads", family === "llama" ? heads : undefined);
  if (heads % kvHeads !== 0) throw read.refuse("num_key_value_heads", `a divisor of num_attention_heads (${heads})`);
  if (read.fields.head_dim == null && hidden % heads !== 0) {
    throw read.refuse("hidden_size", `a multiple of num_attention_heads (${heads}), or a \`head_dim\``);
  }
  const headDim = read.count("head_dim", hidden / heads);
  if (headDim % 2 !== 0) throw read.refuse("head_dim", "an even number: rotary positions turn pairs");
  const attentionBias = read.flag("attention_bias", false);
  const rope = readRope(read);
  return {
    family,
    vocab: read.count("vocab_size"),
    hidden,
    intermediate: read.count("intermediate_size"),
    layers: read.count("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    normEps: read.positive("rms_norm_eps", 1e-6),
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    contextTokens: read.count("max_position_embeddings", contextOf[family]),
    tied: read.flag("tie_word_embeddings", false),
    qkvBias: family === "qwen2" || attentionBias,
    outputBias: family !== "qwen2" && attentionBias,
    mlpBias: read.flag("mlp_bias", false),
    bos: read.ids("bos_token_id")[0],
    eos: read.ids("eos_token_id"),
    pad: read.ids("pad_token_id")[0],
    storedAs: read.word("torch_dtype") ?? read.word("dtype"),
  };
}

function refuseWhatIsNotBuilt(read: Reader, family: LlamaConfig["family"]): void {
  const { fields } = read;
  read.oneOf("hidden_act", ["silu"], "silu");
  read.only("quantization_config", [undefined], "absent (quantised checkpoints are not read)");
  read.only("attention_dropout", [undefined, 0], "0 (others are not supported)");
  read.only("partial_rotary_factor", [undefined, 1], "1 (others are not supported)");
  const layerTypes = (fields.layer_types ?? []) as unknown[];
  if (!Array.isArray(layerTypes) || layerTypes.some((type) => type !== "full_attention")) {
    throw read.refuse("layer_types", '"full_attention" in every layer (others are not supported)');
  }
  if (family === "qwen2") read.only("use_sliding_window", [undefined, false], "false (windows are not supported)");
  if (family === "mistral" && fields.sliding_window !== null) {
    const context = read.count("max_position_embeddings", contextOf.mistral);
    // Hugging Face's default for an absent field is 4096.
    if (read.count("sliding_window", 4096) < context) {
      throw read.refuse(
        "sliding_window",
        `null, or at least max_position_embeddings (${context}); windows are not supported`,
      );
    }
  }
}

/** `rope_theta` and `rope_scaling`, or both in `rope_parameters` as transformers 5 writes them. */
function readRope(read: Reader): { theta: number; scaling: RopeScaling | undefined } {
  const { fields } = read;
  const name = fields.rope_parameters == null ? "rope_scaling" : "rope_parameters";
  const value = (fields[name] ?? {}) as Record<string, unknown>;
  if (typeof value !== "object" || Array.isArray(value)) throw read.refuse(name, "an object or null");
  const number = (key: string, fallback?: unknown): number => {
    const found = value[key] ?? fallback;
    if (typeof found === "number" && found > 0 && Number.isFinite(found)) return found;
    throw read.refuse(`${name}.${key}`, "a number above 0", found);
  };
  const theta = value.rope_theta == null ? read.positive("rope_theta", 10000) : number("rope_theta");
  if (value.partial_rotary_factor != null && value.partial_rotary_factor !== 1) {
    throw read.refuse(`${name}.partial_rotary_factor`, "1 (others are not supported)", value.partial_rotary_factor);
  }
  // An object that only holds rope_theta names no type.
  const kind = value.rope_type ?? value.type ?? "default";
  if (kind === "default") return { theta, scaling: undefined };
  if (kind === "linear") return { theta, scaling: { kind, factor: number("factor") } };
  if (kind === "llama3") {
    const scaling = {
      kind,
      factor: number("factor"),
      lowFreqFactor: number("low_freq_factor"),
      highFreqFactor: number("high_freq_factor"),
      originalContext: number("original_max_position_embeddings", fields.original_max_position_embeddings),
    } as const;
    if (scaling.lowFreqFactor >= scaling.highFreqFactor) {
      throw read.refuse(`${name}.high_freq_factor`, "larger than low_freq_factor", scaling.highFreqFactor);
    }
    return { theta, scaling };
  }
  throw read.refuse(`${name}.rope_type`, "default, linear or llama3 (others are not supported)", kind);
}
