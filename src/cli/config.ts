// The JSON file of `tunebook train` and `tunebook plan`: which model, which adapter, and the options of train() under their own names.

import { readFileSync } from "node:fs";
import path from "node:path";
import type { LoraOptions } from "../adapter/index.js";
import { parseJson } from "../data/json.js";

/** One training job. */
export interface TrainConfig {
  /** Folder of the base model. */
  readonly model: string;
  /** @default "auto" */
  readonly device?: string;
  /** @default the device's best */
  readonly dtype?: string;
  /** What linear layers are held in: "int8", "int4" or "nf4". @default dtype */
  readonly quantize?: string;
  /** Options of attachLora(). @default its defaults */
  readonly lora?: LoraOptions;
  /** All other fields: options of train(), which checks them. */
  readonly train: Readonly<Record<string, unknown>>;
}

/** A config file that cannot be used. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Fields of train() that name files. */
const pathFields = ["data", "validation", "outputFolder", "resume"] as const;

/**
 * Read a config file. Paths in it are relative to the file's folder, so that it works from everywhere.
 *
 * @throws ConfigError naming the file, and the field or the place in it.
 */
export function readTrainConfig(file: string): TrainConfig {
  const fields = readObject(file);
  const folder = path.dirname(file);
  const place = (value: unknown) => (typeof value === "string" ? path.resolve(folder, value) : value);
  const { model, device, dtype, quantize, lora, ...train } = fields;
  const text = (name: string, value: unknown) => {
    if (typeof value === "string" && value !== "") return value;
    throw new ConfigError(`${file}: expected \`${name}\` to be a text that is not empty, got ${JSON.stringify(value)}`);
  };
  if (lora !== undefined && (typeof lora !== "object" || lora === null || Array.isArray(lora))) {
    throw new ConfigError(
      `${file}: expected \`lora\` to be an object with the options of attachLora, got ${JSON.stringify(lora)}`,
    );
  }
  if (train.data === undefined)
    throw new ConfigError(`${file}: expected \`data\`, the path of a file of rows; there is none`);
  for (const name of pathFields) if (train[name] !== undefined) train[name] = place(train[name]);
  return {
    model: path.resolve(folder, text("model", model)),
    ...(device === undefined ? {} : { device: text("device", device) }),
    ...(dtype === undefined ? {} : { dtype: text("dtype", dtype) }),
    ...(quantize === undefined ? {} : { quantize: text("quantize", quantize) }),
    ...(lora === undefined ? {} : { lora: lora as LoraOptions }),
    train,
  };
}

function readObject(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new ConfigError(`${file}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new ConfigError(`${file}: ${(cause as Error).message}`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ConfigError(`${file}: expected a JSON object with the options of a training run`);
}
