// Families by the word of config.json.

import type { LlamaConfig } from "../config.js";
import type { Family } from "./family.js";
import { llama } from "./llama.js";

export type { Building, Family } from "./family.js";

export const families: Readonly<Record<LlamaConfig["family"], Family>> = { llama, mistral: llama, qwen2: llama };
