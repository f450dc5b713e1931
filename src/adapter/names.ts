// Names of an adapter's tensors in the dialects of files that exist -> the names used here. Used by load.ts.

import type { TensorFile } from "../model/weights/index.js";
import { AdapterError } from "./peft.js";

/** What wrappers of PEFT, of data-parallel training and of compilation put before a module's name, once or more often. */
const wrappers = /^(?:(?:module|_orig_mod|base_model\.model)\.)+/;

/**
 * A tensor's name in the base's words: "model.layers.0.self_attn.q_proj.lora_A.weight".
 *
 * Taken off are the wrappers before it and the name of the adapter ("default") that live parameters carry; loralib writes `lora_A`
 * without `.weight`.
 */
export function plainName(name: string): string {
  return name
    .replace(wrappers, "")
    .replace(/\.lora_([AB])(?:\.[^.]+)?\.weight$/, ".lora_$1.weight")
    .replace(/\.lora_([AB])$/, ".lora_$1.weight")
    .replace(/\.modules_to_save(?:\.[^.]+)?\.(weight|bias)$/, ".$1");
}

/**
 * Names in the file by plain name.
 *
 * @throws AdapterError when the file is empty, or two of its names mean the same tensor.
 */
export function plainNames(file: TensorFile): ReadonlyMap<string, string> {
  if (file.tensors.size === 0) {
    throw new AdapterError(
      file.path,
      "it holds no tensors: the adapter was saved empty and must be trained again (scripts that replace `model.state_dict`, as alpaca-lora's does, save nothing with PEFT 0.3 and newer)",
    );
  }
  const names = new Map<string, string>();
  for (const name of file.tensors.keys()) {
    const plain = plainName(name);
    const other = names.get(plain);
    if (other !== undefined)
      throw new AdapterError(file.path, `"${other}" and "${name}" are the same tensor of two adapters: expected one`);
    names.set(plain, name);
  }
  return names;
}
