// A folder in Hugging Face's layout -> a model on a device. Next to read: resident.ts, where the weights go.

import { stat } from "node:fs/promises";
import path from "node:path";
import type { Device } from "../engine/device.js";
import { type DeviceName, openDevice } from "../engine/devices.js";
import { loadTokenizer, type Tokenizer } from "../tokens/index.js";
import { type ModelConfig, parseConfig, readConfig } from "./config.js";
import { type Family, familyOf } from "./families/index.js";
import { type ComputeDType, Model } from "./model.js";
import { type Quantization, quantizationOf, quantizeSpecs } from "./quantize.js";
import { loadResident, weightsLayout } from "./resident.js";
import {
  CheckpointError,
  CONSOLIDATED,
  isConsolidated,
  openCheckpoint,
  openConsolidated,
  openLlama2c,
} from "./weights/index.js";

export interface LoadOptions {
  /** "auto" takes the fastest there is. @default "auto" */
  readonly device?: DeviceName | Device;
  /** Dtype of activations and of weights in memory. @default bf16 where the device computes in it, as cpu does; f32 on tfjs. Never f16, which needs the scaling of its loss */
  readonly dtype?: ComputeDType;
  /** Longest text in tokens to prepare positions for. @default what config.json allows, at most 4096 */
  readonly contextTokens?: number;
  /**
   * Hold the linear layers of the blocks in few bits: "int8" takes half of bf16's bytes, "int4" and "nf4" a bit more than a quarter.
   * Embeddings, norms, biases and the head stay in `dtype`. An adapter trains on it; the quantised weights themselves do not.
   * @default not, or as the checkpoint has them: ChatGLM-6B's own in 8 and 4 bits are loaded as they are
   */
  readonly quantize?: Quantization | undefined;
}

/**
 * A model from its config alone, for planning: it has every tensor's place and none of its values. Runs nothing.
 *
 * @param device - One made by sketchDevice.
 */
export function sketchModel(
  config: ModelConfig,
  tokenizer: Tokenizer,
  {
    device,
    dtype,
    contextTokens,
    quantize: asked,
  }: {
    readonly device: Device;
    readonly dtype: ComputeDType;
    readonly contextTokens: number;
    readonly quantize?: Quantization | undefined;
  },
): Model {
  const family = familyOf(config);
  checkDType(family, config.family, dtype, device);
  const quantize = quantizationOf(config, asked);
  checkQuantized(quantize, device);
  const tensors = family.tensors(config, dtype, contextTokens);
  const specs = quantizeSpecs(tensors, family.linears(config), quantize, config.quantized !== undefined);
  const { placements, bytes } = weightsLayout(specs);
  const arena = device.allocate("weights", bytes);
  const weights = {
    specs: new Map(specs.map((spec) => [spec.name, spec])),
    arena,
    placements,
    bytes,
    unused: [],
    faults: [],
  };
  const parts = { name: config.family, folder: "", config, tokenizer, device, dtype, quantize, contextTokens, weights };
  return new Model(parts);
}

/** A loaded model's shapes on a device made by sketchDevice: the same places, and none of its values. */
export function sketchOf(model: Model, device: Device): Model {
  const { name, folder, config, tokenizer, dtype, quantize, contextTokens } = model;
  const weights = { ...model.weights, arena: device.allocate("weights", model.weights.bytes) };
  return new Model({ name, folder, config, tokenizer, device, dtype, quantize, contextTokens, weights });
}

/** Tokens of context that loadModel prepares where nothing is said. */
export function defaultContext(config: ModelConfig): number {
  return Math.min(config.contextTokens, 4096);
}

/**
 * Load config.json, the tokenizer and the weights of a folder, safetensors or files of torch.save. The weights go to the device tensor by tensor.
 *
 * @param at - The folder, or one file of weights in it, such as a llama2.c checkpoint or Meta's, which need no config.json.
 * @throws CheckpointError when the folder is not a model this project knows, naming file, field or tensor.
 * @throws EngineError when the device cannot be had, or not in this dtype.
 */
export async function loadModel(at: string, options: LoadOptions = {}): Promise<Model> {
  const { folder, config, fields } = await placeOf(at);
  const wanted = options.contextTokens ?? defaultContext(config);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > config.contextTokens) {
    throw new RangeError(
      `expected \`contextTokens\` to be an integer from 1 to ${config.contextTokens} (config.json), got ${wanted}`,
    );
  }
  const tokenizer = await loadTokenizer(folder);
  const file = await openCheckpoint(at);
  for (const notice of file.notices ?? []) process.emitWarning(notice, "CheckpointNotice");
  try {
    if (tokenizer.vocab > config.vocab) {
      throw new CheckpointError(
        path.join(folder, "config.json"),
        `\`vocab_size\` is ${config.vocab}, but the tokenizer has ${tokenizer.vocab} tokens: ids from ${config.vocab} on have no embedding; take the tokenizer that came with the weights`,
      );
    }
    const device = typeof options.device === "object" ? options.device : await openDevice(options.device ?? "auto");
    const dtype = options.dtype ?? defaultDType(device);
    checkDType(familyOf(config), config.family, dtype, device);
    const quantize = quantizationOf(config, options.quantize);
    checkQuantized(quantize, device);
    const family = familyOf(config);
    const tensors = family.tensors(config, dtype, wanted);
    const specs = quantizeSpecs(tensors, family.linears(config), quantize, config.quantized !== undefined);
    const weights = await loadResident(device, file, specs);
    const name = path.basename(path.resolve(at));
    const parts = { name, folder, config, tokenizer, device, dtype, quantize, contextTokens: wanted, weights };
    return new Model({ ...parts, ...(fields && { fields }) });
  } finally {
    await file.close();
  }
}

/** The folder of a model and its config, which llama2.c's checkpoints have in themselves and Meta's have beside them. No weights are read. */
export async function placeOf(at: string): Promise<{
  readonly folder: string;
  readonly config: ModelConfig;
  readonly fields?: Readonly<Record<string, unknown>>;
}> {
  const isFile = await isThere(at);
  const folder = isFile ? path.dirname(at) : at;
  const meta = isFile ? at : path.join(at, CONSOLIDATED);
  const isMeta = isConsolidated(meta) && (await isThere(meta)) && !(await isThere(path.join(folder, "config.json")));
  const own = isMeta ? await openConsolidated(meta) : isFile ? await openLlama2c(at) : undefined;
  await own?.close();
  const stated = own?.metadata["config"];
  if (stated === undefined) return { folder, config: readConfig(folder) };
  const fields = JSON.parse(stated) as Record<string, unknown>;
  return { folder, config: parseConfig(fields, at), fields };
}

async function isThere(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isFile() === true;
}

/** @throws RangeError when the device cannot read quantised matrices, with the reason. */
function checkQuantized(quantize: Quantization | undefined, { name, info }: Device): void {
  if (quantize === undefined || info.noQuantized === undefined) return;
  throw new RangeError(
    `${name} does not read \`quantize: "${quantize}"\`: ${info.noQuantized}; leave it out, or load the model with \`device: "cpu"\``,
  );
}

/** @throws RangeError when the device does not compute in the dtype, or the family overflows in it, with the reason and what to take. */
export function checkDType(
  { overflowsF16 }: Pick<Family, "overflowsF16">,
  name: string,
  dtype: ComputeDType,
  { name: device, info }: Pick<Device, "name" | "info">,
): void {
  const usable = info.computeDTypes.filter((other) => other !== "f16" || overflowsF16 === undefined);
  if (usable.includes(dtype)) return;
  const reason =
    dtype === "f16" && overflowsF16 !== undefined
      ? `${name} does not compute in f16: ${overflowsF16}`
      : `${device} does not compute in ${dtype}${info.no16Bits === undefined ? "" : `: ${info.no16Bits}`}`;
  throw new RangeError(`${reason}, expected \`dtype\` to be one of ${usable.join(", ")}`);
}

/** What a model computes in where nothing is said. */
export function defaultDType(device: Device): ComputeDType {
  return device.info.computeDTypes.includes("bf16") ? "bf16" : "f32";
}
