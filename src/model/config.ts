// config.json of a Hugging Face model folder -> LlamaConfig. The file's own names stand here and nowhere else.
// Next to read: weights/shards.ts, the tensors that go with it.

import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { decodeUtf8 } from "../data/file.js";
import { JsonError, parseJson } from "../data/json.js";
import { CheckpointError } from "./weights/error.js";

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
export interface LlamaConfig {
  readonly family: "llama" | "mistral" | "qwen2";
  /** Rows of the embedding; at least the tokenizer's size. */
  readonly vocab: number;
  readonly hidden: number;
  /** Inner size of the feed-forward block. */
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  /** Key and value heads, each shared by heads / kvHeads query heads. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | undefined;
  /** Tokens the model was trained to see at once. */
  readonly contextTokens: number;
  /** Whether the head is the embedding, with no tensor of its own. */
  readonly tied: boolean;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  readonly bos: number | undefined;
  /** Any of these ends an answer. */
  readonly eos: readonly number[];
  readonly pad: number | undefined;
  /** What the file says its weights are stored as, such as "bfloat16". The weights themselves decide. */
  readonly storedAs: string | undefined;
}

const families = ["llama", "mistral", "qwen2"] as const;
/** What Hugging Face takes for an absent max_position_embeddings. */
const contextOf = { llama: 2048, mistral: 131072, qwen2: 32768 } as const;

/**
 * Read and check `config.json` of a model folder. Reads synchronously: the file is a page long.
 *
 * Defaults are Hugging Face's: key and value heads as many as heads (llama only), head size hidden / heads, eps 1e-6,
 * theta 10000, context 2048 (llama), an untied head, no biases (qwen2: biases on q, k and v).
 *
 * @throws CheckpointError when there is no such folder or file, it is not JSON (with line and column),
 *   or a field asks for something this family does not do, naming the field, its value and what is supported.
 */
export function readConfig(folder: string): LlamaConfig {
  const file = path.join(folder, "config.json");
  return parseConfig(readJsonObject(folder, file), file);
}

/** The same from a parsed file. `file` is only named in errors. */
export function parseConfig(fields: Readonly<Record<string, unknown>>, file = "config.json"): LlamaConfig {
  const read = reader(fields, file);
  const family = read.oneOf("model_type", families, undefined);
  refuseWhatIsNotBuilt(read, family);
  const hidden = read.count("hidden_size");
  const heads = read.count("num_attention_heads");
  const kvHeads = read.count("num_key_value_heads", family === "llama" ? heads : undefined);
  if (heads % kvHeads !== 0) throw read.refuse("num_key_value_heads", `a divisor of num_attention_heads (${heads})`);
  if (fields.head_dim == null && hidden % heads !== 0) {
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

/** Number of parameters: every tensor of the checkpoint, a tied head once. */
export function parameterCount(config: LlamaConfig): number {
  const { vocab, hidden, intermediate, layers, heads, kvHeads, headDim } = config;
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const attention = 2 * hidden * queries + 2 * hidden * keys;
  const biases =
    (config.qkvBias ? queries + 2 * keys : 0) +
    (config.outputBias ? hidden : 0) +
    (config.mlpBias ? 2 * intermediate + hidden : 0);
  const layer = attention + 3 * hidden * intermediate + 2 * hidden + biases;
  return vocab * hidden * (config.tied ? 1 : 2) + layers * layer + hidden;
}

/** A JSON object from a file of a model folder, read synchronously. @throws CheckpointError */
function readJsonObject(folder: string, file: string): Record<string, unknown> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new CheckpointError(folder, "there is no such folder");
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const problem = missing
      ? "there is no such file: a model folder needs one"
      : `cannot be read: ${(cause as Error).message}`;
    throw new CheckpointError(file, problem, { cause });
  }
  let root: unknown;
  try {
    root = parseJson(decodeUtf8(bytes));
  } catch (cause) {
    if (cause instanceof JsonError)
      throw new CheckpointError(`${file}:${cause.line}:${cause.column}`, cause.problem, { cause });
    if (cause instanceof RangeError) throw new CheckpointError(file, cause.message, { cause });
    throw cause;
  }
  if (typeof root === "object" && root !== null && !Array.isArray(root)) return root as Record<string, unknown>;
  throw new CheckpointError(file, "expected a JSON object");
}

type Reader = ReturnType<typeof reader>;

/** Fields by their name in the file, each checked where it is read. A missing field and null are the same, as in transformers. */
function reader(fields: Readonly<Record<string, unknown>>, file: string) {
  const refuse = (name: string, expected: string, value: unknown = fields[name]) => {
    const got = value === undefined ? "it is missing" : `got ${JSON.stringify(value)}`;
    return new CheckpointError(file, `expected \`${name}\` to be ${expected}, ${got}`);
  };
  return {
    fields,
    refuse,
    count(name: string, fallback?: number): number {
      const value = fields[name] ?? fallback;
      if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
      throw refuse(name, "a whole number from 1");
    },
    positive(name: string, fallback: number): number {
      const value = fields[name] ?? fallback;
      if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
      throw refuse(name, "a number above 0");
    },
    flag(name: string, fallback: boolean): boolean {
      const value = fields[name] ?? fallback;
      if (typeof value === "boolean") return value;
      throw refuse(name, "true or false");
    },
    word(name: string): string | undefined {
      const value = fields[name] ?? undefined;
      if (value === undefined || typeof value === "string") return value;
      throw refuse(name, "a string");
    },
    ids(name: string): readonly number[] {
      const value = fields[name] ?? [];
      const list: unknown[] = Array.isArray(value) ? value : [value];
      if (list.every((id) => Number.isSafeInteger(id) && (id as number) >= -1))
        return (list as number[]).filter((id) => id >= 0);
      throw refuse(name, "a token id, or a list of them");
    },
    oneOf<Word extends string>(name: string, words: readonly Word[], fallback: Word | undefined): Word {
      const value = fields[name] ?? fallback;
      if (words.includes(value as Word)) return value as Word;
      throw refuse(
        name,
        words.length === 1 ? `"${words[0]}" (others are not supported)` : `one of ${words.join(", ")}`,
      );
    },
    /** Refuse a value that changes the arithmetic into one that is not built. */
    only(name: string, supported: readonly unknown[], what: string): void {
      if (!supported.includes(fields[name] ?? undefined)) throw refuse(name, what);
    },
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
