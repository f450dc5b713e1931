// A folder in Hugging Face's layout -> a model on a device. Next to read: resident.ts, where the weights go.

import path from "node:path";
import type { Device } from "../engine/device.js";
import { type DeviceName, openDevice } from "../engine/devices.js";
import { loadTokenizer, type Tokenizer } from "../tokens/index.js";
import { type LlamaConfig, readConfig } from "./config.js";
import { families } from "./families/index.js";
import { type ComputeDType, Model } from "./model.js";
import { loadResident, weightsLayout } from "./resident.js";
import { CheckpointError, openCheckpoint } from "./weights/index.js";

export interface LoadOptions {
  /** "auto" takes the fastest there is. @default "auto" */
  readonly device?: DeviceName | Device;
  /** Dtype of activations and of weights in memory. @default bf16 where the device computes in it, as cpu does; f32 on tfjs */
  readonly dtype?: ComputeDType;
  /** Longest text in tokens to prepare positions for. @default what config.json allows, at most 4096 */
  readonly contextTokens?: number;
}

/**
 * A model from its config alone, for planning: it has every tensor's place and none of its values. Runs nothing.
 *
 * @param device - One made by sketchDevice.
 */
export function sketchModel(
  config: LlamaConfig,
  tokenizer: Tokenizer,
  {
    device,
    dtype,
    contextTokens,
  }: { readonly device: Device; readonly dtype: ComputeDType; readonly contextTokens: number },
): Model {
  const specs = families[config.family].tensors(config, dtype, contextTokens);
  const { placements, bytes } = weightsLayout(specs);
  const arena = device.allocate("weights", bytes);
  const weights = { specs: new Map(specs.map((spec) => [spec.name, spec])), arena, placements, bytes, unused: [] };
  return new Model({ name: config.family, folder: "", config, tokenizer, device, dtype, contextTokens, weights });
}

/**
 * Load config.json, the tokenizer and the safetensors of a folder. The weights go to the device tensor by tensor.
 *
 * @throws CheckpointError when the folder is not a model this project knows, naming file, field or tensor.
 * @throws EngineError when the device cannot be had, or not in this dtype.
 */
export async function loadModel(folder: string, options: LoadOptions = {}): Promise<Model> {
  const config = readConfig(folder);
  const wanted = options.contextTokens ?? Math.min(config.contextTokens, 4096);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > config.contextTokens) {
    throw new RangeError(
      `expected \`contextTokens\` to be an integer from 1 to ${config.contextTokens} (config.json), got ${wanted}`,
    );
  }
  const tokenizer = await loadTokenizer(folder);
  const file = await openCheckpoint(folder);
  try {
    if (tokenizer.vocab > config.vocab) {
      throw new CheckpointError(
        path.join(folder, "config.json"),
        `\`vocab_size\` is ${config.vocab}, but the tokenizer has ${tokenizer.vocab} tokens: ids from ${config.vocab} on have no embedding; take the tokenizer that came with the weights`,
      );
    }
    const device = typeof options.device === "object" ? options.device : await openDevice(options.device ?? "auto");
    const dtype = options.dtype ?? defaultDType(device);
    if (!device.info.computeDTypes.includes(dtype)) {
      throw new RangeError(
        `${device.name} does not compute in ${dtype}, expected \`dtype\` to be one of ${device.info.computeDTypes.join(", ")}`,
      );
    }
    const specs = families[config.family].tensors(config, dtype, wanted);
    const weights = await loadResident(device, file, specs);
    const name = path.basename(path.resolve(folder));
    return new Model({ name, folder, config, tokenizer, device, dtype, contextTokens: wanted, weights });
  } finally {
    await file.close();
  }
}

function defaultDType(device: Device): ComputeDType {
  return device.info.computeDTypes.includes("bf16") ? "bf16" : "f32";
}
