// Writes adapters as PEFT reads them: adapter_model.safetensors and adapter_config.json. Read back by load.ts.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { LinearSite, Model, TrainedTensors } from "../model/index.js";
import { replaceFile, type StoredTensor, writeSafetensors } from "../model/weights/index.js";
import { firstNonFinite } from "../train/finite.js";
import type { LoraShape } from "./lora.js";
import { AdapterError, PREFIX, peftConfig, peftFiles } from "./peft.js";
import { targetNames } from "./targets.js";

/**
 * Save what a model has learned: an adapter in PEFT's format, or the whole model where all of it trained.
 *
 * @throws RangeError when nothing of the model trains; AdapterError when a tensor holds a number that is not finite.
 */
export async function saveAdapter(model: Model, folder: string): Promise<void> {
  if (!model.trained) throw new RangeError(`saveAdapter: nothing of "${model.name}" trains; attach an adapter first`);
  await model.trained.save(folder);
}

export interface LoraSource extends LoraShape {
  /** Every linear layer of the model, so that targets are named shortly where that says the same. */
  readonly all: readonly LinearSite[];
  /** Folder or hub name of the base. */
  readonly base: string;
  /** What the base's linear layers were held in while the adapter was trained. */
  readonly quantize?: string | undefined;
}

/** Each file is written beside its place and renamed over; all values are checked before the first is. */
export async function saveLora(trained: TrainedTensors, folder: string, source: LoraSource): Promise<void> {
  const file = path.join(folder, peftFiles.weights);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape } of trained.list) {
    const values = await trained.read(name);
    const at = firstNonFinite(values);
    if (at !== undefined) throw new AdapterError(file, `not written: tensor "${name}" holds ${values[at]} at ${at}`);
    tensors.set(`${PREFIX}${name}`, { dtype: "F32", shape, data: new Uint8Array(values.buffer) });
  }
  await mkdir(folder, { recursive: true });
  const { quantize } = source;
  // PEFT reads unknown fields of its config with complaints; metadata it leaves alone.
  await writeSafetensors(file, tensors, { format: "pt", ...(quantize && { base_quantization: quantize }) });
  const config = peftConfig(source, targetNames(source.all, source.sites), source.base);
  await replaceFile(path.join(folder, peftFiles.config), [
    new TextEncoder().encode(`${JSON.stringify(config, undefined, 2)}\n`),
  ]);
}
