// What is measured: models by their sizes, batches, dtypes. Plain data, sent to both sides as JSON. Next to read: run.ts.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { LlamaConfig } from "../../src/model/config.js";

/** Sizes of a Llama, by the names of config.json. */
export interface Shape {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly intermediate_size: number;
  readonly vocab_size: number;
  readonly tie_word_embeddings: boolean;
}

export interface Named {
  readonly name: string;
  readonly shape: Shape;
  /** Rows of a batch and tokens of a row in training. */
  readonly batch: number;
  readonly seq: number;
}

/** One child process on each side is started for one of these. */
export interface Job {
  readonly work: "train" | "decode";
  readonly dtype: "f32" | "bf16";
  readonly threads: number;
  readonly model: Named;
  /** LoRA on all linear layers; scale is alpha / rank. */
  readonly rank: number;
  readonly alpha: number;
  /** Tokens of the prompt, and tokens made after it, when decoding. */
  readonly prompt: number;
  readonly newTokens: number;
}

const root = resolve(import.meta.dirname, "..", "..");

/** Sizes of the small model in the repository, read from its config so that they are never out of date. */
function tinyTutor(): Shape {
  const file = join(root, "notebooks", "models", "tiny-tutor", "config.json");
  const sizes = {
    hidden_size: 256,
    num_hidden_layers: 5,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    intermediate_size: 640,
    vocab_size: 1200,
    tie_word_embeddings: false,
  };
  if (!existsSync(file)) return sizes;
  const config = JSON.parse(readFileSync(file, "utf8")) as Partial<Shape>;
  const names = Object.keys(sizes) as (keyof Shape)[];
  return Object.fromEntries(names.map((name) => [name, config[name] ?? sizes[name]])) as unknown as Shape;
}

export const models: readonly Named[] = [
  { name: "tiny-tutor", shape: tinyTutor(), batch: 8, seq: 64 },
  {
    name: "135M",
    shape: {
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      num_key_value_heads: 12,
      intermediate_size: 2048,
      vocab_size: 32000,
      tie_word_embeddings: false,
    },
    batch: 4,
    seq: 256,
  },
];

/** Name of a job: what `--only` looks for. */
export const jobName = ({ model, work, dtype }: Pick<Job, "model" | "work" | "dtype">): string =>
  `${model.name} ${work} ${dtype}`;

export function jobs(threads: number): readonly Job[] {
  return models.flatMap((model) =>
    (["train", "decode"] as const).flatMap((work) =>
      (["f32", "bf16"] as const).map(
        (dtype): Job => ({ work, dtype, threads, model, rank: 8, alpha: 16, prompt: 32, newTokens: 128 }),
      ),
    ),
  );
}

/** The config our side builds a model from. */
export function configOf(shape: Shape, contextTokens: number): LlamaConfig {
  return {
    family: "llama",
    vocab: shape.vocab_size,
    hidden: shape.hidden_size,
    intermediate: shape.intermediate_size,
    layers: shape.num_hidden_layers,
    heads: shape.num_attention_heads,
    kvHeads: shape.num_key_value_heads,
    headDim: shape.hidden_size / shape.num_attention_heads,
    normEps: 1e-5,
    ropeTheta: 10000,
    ropeScaling: undefined,
    contextTokens,
    tied: shape.tie_word_embeddings,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    bos: undefined,
    eos: [],
    pad: 0,
    storedAs: undefined,
  };
}
