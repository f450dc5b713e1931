// Full training: every tensor of the checkpoint trains, in f32. Saved as a model folder of its own.

import { copyFile, mkdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { bytesOf, sizeOf } from "../engine/dtype.js";
import { type ComputeDType, type Model, type TrainedTensor, TrainedTensors } from "../model/index.js";
import { convert, replaceFile, type StoredTensor, storedAs, writeSafetensors } from "../model/weights/index.js";
import { firstNonFinite } from "../train/finite.js";
import { AdapterError } from "./peft.js";

export interface FullOptions {
  /** Dtype of the tensors in the saved file. @default "f32" */
  readonly saveAs?: "f32" | "bf16" | undefined;
}

/** Numbers converted between two turns of the event loop. */
const PIECE = 1 << 18;

/**
 * The same model with all of its tensors trained; a tied head is the embedding and trains once. The base keeps its own frozen copy.
 * `save` writes model.safetensors, with config.json and the tokenizer's files beside it.
 *
 * @throws RangeError when the model already trains something.
 */
export async function trainFully(base: Model, { saveAs = "f32" }: FullOptions = {}): Promise<Model> {
  if (base.trained)
    throw new RangeError(`trainFully: "${base.name}" already has tensors that train; start from its \`base\` instead`);
  const specs = [...base.weights.specs.values()].filter(({ values }) => values === undefined);
  const list = specs.map(({ name, shape }): TrainedTensor => ({ name, shape, decay: shape.length > 1 }));
  const trained = await TrainedTensors.create(base.device, list, ({ name }) => readWeight(base, name), {
    save: (tensors, folder) => saveModel(tensors, base.folder, folder, saveAs),
  });
  return base.withTrained(trained);
}

/** A frozen tensor as f32. */
async function readWeight({ weights }: Model, name: string): Promise<Float32Array> {
  const place = weights.placements.get(name);
  if (!place) throw new RangeError(`no weight is named "${name}"`);
  const { offset, dtype, shape } = place;
  const values = new Float32Array(sizeOf(shape));
  for (let at = 0; at < values.length; at += PIECE) {
    const count = Math.min(PIECE, values.length - at);
    const stored = await weights.arena.read(offset + at * bytesOf[dtype], count * bytesOf[dtype]);
    const bytes = convert(stored, storedAs[dtype as ComputeDType], "f32") as Uint8Array;
    values.set(new Float32Array(bytes.buffer, bytes.byteOffset, count), at);
    await setImmediate();
  }
  return values;
}

/** What goes with the weights, where the base has it. */
const companions = [
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
  "added_tokens.json",
  "chat_template.jinja",
];

async function saveModel(trained: TrainedTensors, from: string, to: string, saveAs: "f32" | "bf16"): Promise<void> {
  const file = path.join(to, "model.safetensors");
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape } of trained.list) {
    const values = await trained.read(name);
    const at = firstNonFinite(values);
    if (at !== undefined) throw new AdapterError(file, `not written: tensor "${name}" holds ${values[at]} at ${at}`);
    const data = convert(new Uint8Array(values.buffer), "F32", saveAs) as Uint8Array;
    tensors.set(name, { dtype: saveAs === "f32" ? "F32" : "BF16", shape, data });
    await setImmediate();
  }
  await mkdir(to, { recursive: true });
  await writeSafetensors(file, tensors, { format: "pt" });
  const config = JSON.parse(await readFile(path.join(from, "config.json"), "utf8")) as Record<string, unknown>;
  config.torch_dtype = saveAs === "f32" ? "float32" : "bfloat16";
  await replaceFile(path.join(to, "config.json"), [
    new TextEncoder().encode(`${JSON.stringify(config, undefined, 2)}\n`),
  ]);
  if (path.resolve(from) === path.resolve(to)) return;
  for (const name of companions) {
    const source = path.join(from, name);
    if (await isFile(source)) await copyFile(source, path.join(to, name));
  }
}

async function isFile(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
