// PEFT's adapter_config.json: what we write of it, and what of it we refuse to read. Used by save.ts and load.ts.

import type { LoraShape } from "./lora.js";

export const peftFiles = {
  config: "adapter_config.json",
  weights: "adapter_model.safetensors",
  pickle: "adapter_model.bin",
};

/** What stands before a module's name in PEFT's tensor names. */
export const PREFIX = "base_model.model.";

/** An adapter that this reader does not do, or whose files do not hold. The message starts with the file. */
export class AdapterError extends Error {
  override readonly name = "AdapterError";

  constructor(
    readonly file: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${file}: ${problem}`, options);
  }
}

/** adapter_config.json as PEFT 0.21 writes it for a causal language model, without the fields of methods that are not used. */
export function peftConfig(
  shape: LoraShape,
  targets: readonly string[],
  base: string,
): Readonly<Record<string, unknown>> {
  return {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: base,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: shape.alpha,
    lora_bias: false,
    lora_dropout: shape.dropout,
    modules_to_save: null,
    peft_type: "LORA",
    r: shape.rank,
    rank_pattern: {},
    revision: null,
    target_modules: targets,
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: shape.rslora,
  };
}

/** Fields that change the arithmetic into one that is not built: empty, false or the value named here is fine. */
const plain: Readonly<Record<string, unknown>> = {
  bias: "none",
  fan_in_fan_out: false,
  lora_bias: false,
  use_dora: false,
  use_qalora: false,
  use_bdlora: null,
  modules_to_save: null,
  rank_pattern: null,
  alpha_pattern: null,
  layer_replication: null,
  trainable_token_indices: null,
  target_parameters: null,
  alora_invocation_tokens: null,
  arrow_config: null,
  kasa_config: null,
  velora_config: null,
  monteclora_config: null,
};

export type PeftShape = Pick<LoraShape, "rank" | "alpha" | "scale" | "rslora" | "dropout">;

/**
 * Rank, scale and dropout of a parsed adapter_config.json. Unknown fields are ignored, as PEFT does; missing ones have its defaults.
 *
 * @throws AdapterError naming the field, its value and what is supported.
 */
export function parsePeftConfig(fields: Readonly<Record<string, unknown>>, file: string): PeftShape {
  const type = fields.peft_type;
  if (type !== "LORA") {
    const got = type === undefined ? "it is missing" : `got ${JSON.stringify(type)}`;
    throw new AdapterError(file, `expected \`peft_type\` to be "LORA" (other methods are not supported), ${got}`);
  }
  for (const [name, supported] of Object.entries(plain)) {
    const value = fields[name];
    if (isEmpty(value) || value === supported) continue;
    throw new AdapterError(
      file,
      `expected \`${name}\` to be ${JSON.stringify(supported)} (others are not supported), got ${JSON.stringify(value)}`,
    );
  }
  const rank = fields.r ?? 8;
  const alpha = fields.lora_alpha ?? 8;
  const dropout = fields.lora_dropout ?? 0;
  const rslora = fields.use_rslora === true;
  if (!Number.isInteger(rank) || (rank as number) < 1) throw refuse(file, "r", "an integer of at least 1", rank);
  if (typeof alpha !== "number" || !(alpha > 0)) throw refuse(file, "lora_alpha", "a number above 0", alpha);
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) {
    throw refuse(file, "lora_dropout", "a number from 0 to below 1", dropout);
  }
  return {
    rank: rank as number,
    alpha,
    dropout,
    rslora,
    scale: alpha / (rslora ? Math.sqrt(rank as number) : (rank as number)),
  };
}

function refuse(file: string, name: string, expected: string, value: unknown): AdapterError {
  return new AdapterError(file, `expected \`${name}\` to be ${expected}, got ${JSON.stringify(value)}`);
}

/** How Python writes that a field is not used. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
