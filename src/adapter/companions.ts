// What goes with a model's weights into a new folder: config.json with the new dtype, the tokenizer, and the base's other small files.

import { copyFile, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { Model } from "../model/index.js";
import { replaceFile } from "../model/weights/index.js";
import { AdapterError } from "./peft.js";

/** Weights, in any format, and what trainers leave beside them: not copied. */
const others =
  /\.(safetensors|bin|pth?|ckpt|h5|msgpack|onnx|gguf|index\.json|part)$|^(adapter_config|trainer_state|config)\.json$|^\.|^README/;

/** Larger files are data, not part of a tokenizer. */
const MAX_BYTES = 64 << 20;

const names = { f32: "float32", bf16: "bfloat16", f16: "float16" } as const;

/**
 * Copy what makes a folder of weights a model.
 *
 * @throws AdapterError when the base has no config.json to copy.
 */
export async function copyCompanions(
  { folder: from, fields }: Pick<Model, "folder" | "fields">,
  to: string,
  dtype: keyof typeof names,
): Promise<void> {
  const file = path.join(from, "config.json");
  let config: Record<string, unknown>;
  try {
    config = fields ? { ...fields } : (JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>);
  } catch (cause) {
    throw new AdapterError(file, `cannot be copied: ${(cause as Error).message}`, { cause });
  }
  delete config["quantization_config"];
  if ("quantization_bit" in config) config["quantization_bit"] = 0;
  config["torch_dtype"] = names[dtype];
  await replaceFile(path.join(to, "config.json"), [
    new TextEncoder().encode(`${JSON.stringify(config, undefined, 2)}\n`),
  ]);
  if (path.resolve(from) === path.resolve(to)) return;
  for (const name of (await readdir(from)).sort()) {
    if (others.test(name) && name !== "tokenizer.bin") continue;
    const found = await stat(path.join(from, name));
    if (found.isFile() && found.size <= MAX_BYTES) await copyFile(path.join(from, name), path.join(to, name));
  }
}
