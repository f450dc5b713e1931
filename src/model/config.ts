// config.json of a Hugging Face model folder -> ModelConfig, a union by family. Next to read: configs/llama.ts, one of the families;
// weights/shards.ts, the tensors that go with it.

import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { decodeUtf8 } from "../data/file.js";
import { JsonError, parseJson } from "../data/json.js";
import { type ChatGlmConfig, chatGlmConfig } from "./configs/chatglm.js";
import { reader } from "./configs/fields.js";
import { type LlamaConfig, llamaConfig, llamaFamilies } from "./configs/llama.js";
import { type T5Config, t5Config } from "./configs/t5.js";
import { CheckpointError } from "./weights/error.js";

export type { ChatGlmConfig } from "./configs/chatglm.js";
export type { LlamaConfig, RopeScaling } from "./configs/llama.js";
export type { T5Config } from "./configs/t5.js";

/** What every family has. */
export interface CommonConfig {
  /** Rows of the embedding; at least the tokenizer's size. */
  readonly vocab: number;
  readonly hidden: number;
  /** Blocks that can be computed again one by one. */
  readonly layers: number;
  /** Whether the head is the embedding, with no tensor of its own. */
  readonly tied: boolean;
  /** Tokens the model was trained to see at once. */
  readonly contextTokens: number;
  readonly bos: number | undefined;
  /** Any of these ends an answer. */
  readonly eos: readonly number[];
  readonly pad: number | undefined;
  /** What the file says its weights are stored as, such as "bfloat16". The weights themselves decide. */
  readonly storedAs: string | undefined;
  /** What the checkpoint holds the linear layers of the blocks in, where it is quantised already. */
  readonly quantized?: "int8" | "int4" | undefined;
}

export type ModelConfig = LlamaConfig | ChatGlmConfig | T5Config;

/**
 * Read and check `config.json` of a model folder. Reads synchronously: the file is a page long.
 *
 * @throws CheckpointError when there is no such folder or file, it is not JSON (with line and column),
 *   or a field asks for something its family does not do, naming the field, its value and what is supported.
 */
export function readConfig(folder: string): ModelConfig {
  const file = path.join(folder, "config.json");
  return parseConfig(readJsonObject(folder, file), file);
}

/** The same from a parsed file. `file` is only named in errors. */
export function parseConfig(fields: Readonly<Record<string, unknown>>, file = "config.json"): ModelConfig {
  const read = reader(fields, file);
  const family = read.oneOf("model_type", [...llamaFamilies, "chatglm", "t5"] as const, undefined);
  if (family === "chatglm") return chatGlmConfig(read);
  return family === "t5" ? t5Config(read) : llamaConfig(read);
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
