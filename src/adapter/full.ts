// Full training: every tensor of the checkpoint trains, in f32. Saved as a model folder of its own.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { isQuantized } from "../engine/quantized.js";
import { type Model, type TrainedTensor, TrainedTensors } from "../model/index.js";
import { convert, type StoredTensor, writeSafetensors } from "../model/weights/index.js";
import { firstNonFinite } from "../train/finite.js";
import { copyCompanions } from "./companions.js";
import { readWeight } from "./frozen.js";
import { AdapterError } from "./peft.js";

export interface FullOptions {
  /** Dtype of the tensors in the saved file. @default "f32" */
  readonly saveAs?: "f32" | "bf16" | undefined;
}

/**
 * The same model with all of its tensors trained; a tied head is the embedding and trains once. The base keeps its own frozen copy.
 * `save` writes model.safetensors, with config.json and the tokenizer's files beside it.
 *
 * @throws RangeError when the model already trains something, or a tensor is quantised.
 */
export async function trainFully(base: Model, { saveAs = "f32" }: FullOptions = {}): Promise<Model> {
  if (base.trained)
    throw new RangeError(`trainFully: "${base.name}" already has tensors that train; start from its \`base\` instead`);
  const coarse = [...base.weights.specs.values()].find(({ dtype }) => isQuantized(dtype));
  if (coarse) {
    const plain = coarse.coded ? "take the checkpoint that is not quantised" : "load the model without `quantize`";
    throw new RangeError(
      `trainFully: "${coarse.name}" is held in ${coarse.dtype}, which does not train; ${plain}, or train an adapter on it with attachLora`,
    );
  }
  const specs = [...base.weights.specs.values()].filter(({ values }) => values === undefined);
  const list = specs.map(({ name, shape }): TrainedTensor => ({ name, shape, decay: shape.length > 1 }));
  const trained = await TrainedTensors.create(base.device, list, ({ name }) => readWeight(base, name), {
    save: (tensors, folder) => saveModel(tensors, base, folder, saveAs),
  });
  return base.withTrained(trained);
}

async function saveModel(trained: TrainedTensors, from: Model, to: string, saveAs: "f32" | "bf16"): Promise<void> {
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
  await copyCompanions(from, to, saveAs);
}
