// Families by the word of config.json.

import { sizeOf } from "../../engine/dtype.js";
import type { ModelConfig } from "../config.js";
import { chatglm } from "./chatglm.js";
import type { Family } from "./family.js";
import { llama } from "./llama.js";
import { t5 } from "./t5.js";

export type { Building, Family } from "./family.js";

const families = { llama, mistral: llama, qwen2: llama, chatglm, t5 } as const;

/** The family of a config. Its functions take that family's configs only; that this is one of them TypeScript cannot follow. */
export function familyOf({ family }: ModelConfig): Family {
  return families[family] as unknown as Family;
}

/** Number of parameters: every tensor of the checkpoint, a tied head once. */
export function parameterCount(config: ModelConfig): number {
  const stored = familyOf(config)
    .tensors(config, "f32", 1)
    .filter(({ values }) => !values);
  return stored.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
