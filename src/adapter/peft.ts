// PEFT's adapter_config.json: what we write of it, and what of it we refuse to read. Used by save.ts and load.ts.

import type { LoraShape, LoraSite } from "./lora.js";

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
  const [rank, alpha] = [mostCommon(shape.sites, "rank"), mostCommon(shape.sites, "alpha")];
  const whole = (shape.whole ?? []).map(({ name }) => name.replace(/\.weight$/, ""));
  return {
    alpha_pattern: patternOf(shape.sites, "alpha", alpha),
    auto_mapping: null,
    base_model_name_or_path: base,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: alpha,
    lora_bias: false,
    lora_dropout: shape.dropout,
    modules_to_save: whole.length > 0 ? whole : null,
    peft_type: "LORA",
    r: rank,
    rank_pattern: patternOf(shape.sites, "rank", rank),
    revision: null,
    target_modules: targets,
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: shape.rslora,
  };
}

function mostCommon(sites: readonly LoraSite[], field: "rank" | "alpha"): number {
  const counts = new Map<number, number>();
  for (const site of sites) counts.set(site[field], (counts.get(site[field]) ?? 0) + 1);
  return [...counts].sort(([a, x], [b, y]) => y - x || a - b)[0]?.[0] ?? 8;
}

/** Sites that have another value than most, by their full names. */
function patternOf(sites: readonly LoraSite[], field: "rank" | "alpha", most: number): Record<string, number> {
  return Object.fromEntries(sites.filter((site) => site[field] !== most).map((site) => [site.name, site[field]]));
}

/** Fields that change the arithmetic into one that is not built: empty, false or the value named here is fine. */
const plain: Readonly<Record<string, unknown>> = {
  bias: "none",
  lora_bias: false,
  use_dora: false,
  use_qalora: false,
  use_bdlora: null,
  layer_replication: null,
  trainable_token_indices: null,
  target_parameters: null,
  alora_invocation_tokens: null,
  arrow_config: null,
  kasa_config: null,
  velora_config: null,
  monteclora_config: null,
};

/** Ways to start A and B that leave the base as it is. Others, such as "pissa", train beside a changed base, which is not in the file. */
const starts: readonly unknown[] = [undefined, null, true, false, "gaussian", "orthogonal", "eva"];

export interface PeftShape {
  readonly rslora: boolean;
  readonly dropout: number;
  /** Rank and alpha of a layer, by `rank_pattern` and `alpha_pattern`. */
  of(module: string): { readonly rank: number; readonly alpha: number };
  /** Layers that are saved whole, as `modules_to_save` names them. */
  readonly whole: readonly string[];
  /** Which of the equal parts of fused layers have an update (PEFT up to 0.2); undefined where layers are updated whole. */
  readonly parts: readonly boolean[] | undefined;
}

/**
 * Ranks, scale and dropout of a parsed adapter_config.json. Unknown fields are ignored, as PEFT does; missing ones have its defaults.
 * `fan_in_fan_out` says how the base stores its matrices and changes nothing of A and B.
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
  if (!starts.includes(fields.init_lora_weights))
    throw refuse(file, "init_lora_weights", "one that leaves the base as it is", fields.init_lora_weights);
  const rank = fields.r ?? 8;
  const alpha = fields.lora_alpha ?? 8;
  const dropout = fields.lora_dropout ?? 0;
  if (!isRank(rank)) throw refuse(file, "r", "an integer of at least 1", rank);
  if (!isAlpha(alpha)) throw refuse(file, "lora_alpha", "a number above 0", alpha);
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) {
    throw refuse(file, "lora_dropout", "a number from 0 to below 1", dropout);
  }
  const whole = fields.modules_to_save ?? [];
  if (!isListOf(whole, "string")) throw refuse(file, "modules_to_save", "a list of names", whole);
  const parts = fields.enable_lora ?? undefined;
  if (parts !== undefined && (!isListOf(parts, "boolean") || !parts.includes(true)))
    throw refuse(file, "enable_lora", "a list of true and false", parts);
  const ranks = readPattern(fields, "rank_pattern", file, isRank);
  const alphas = readPattern(fields, "alpha_pattern", file, isAlpha);
  return {
    rslora: fields.use_rslora === true,
    dropout,
    whole,
    parts,
    of: (module) => ({ rank: ranks(module) ?? rank, alpha: alphas(module) ?? alpha }),
  };
}

const isRank = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 1;
const isAlpha = (value: unknown): value is number => typeof value === "number" && value > 0 && Number.isFinite(value);

function isListOf<Kind extends "string" | "boolean">(
  value: unknown,
  kind: Kind,
): value is readonly (Kind extends "string" ? string : boolean)[] {
  return Array.isArray(value) && value.every((one) => typeof one === kind);
}

/**
 * The value of the first key that fits a module: the key is a regular expression for the end of its name, after a dot, as in PEFT.
 * Names, dots and alternatives are taken; anything else is refused, since it could mean something else in Python, or take for ever.
 */
function readPattern(
  fields: Readonly<Record<string, unknown>>,
  field: string,
  file: string,
  isValue: (value: unknown) => value is number,
): (module: string) => number | undefined {
  const found: (readonly [RegExp, number])[] = [];
  for (const [key, value] of Object.entries((fields[field] ?? {}) as Record<string, unknown>)) {
    if (!isValue(value)) throw refuse(file, `${field}["${key}"]`, "a number above 0", value);
    if (!/^\^?[\w.\\|-]+\$?$/.test(key)) throw refuse(file, field, "names of layers", key);
    try {
      found.push([new RegExp(`^(?:.*\\.)?(?:${key})$`), value]);
    } catch {
      throw refuse(file, field, "names of layers", key);
    }
  }
  return (module) => found.find(([pattern]) => pattern.test(module))?.[1];
}

function refuse(file: string, name: string, expected: string, value: unknown): AdapterError {
  return new AdapterError(file, `expected \`${name}\` to be ${expected}, got ${JSON.stringify(value)}`);
}

/** How Python writes that a field is not used. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
