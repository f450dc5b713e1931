// Reads adapters in PEFT's format onto a base. Written by save.ts, or by PEFT.

import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { LinearSite, Model } from "../model/index.js";
import { convert, openTensors, type TensorFile } from "../model/weights/index.js";
import { loraNames, withLora } from "./lora.js";
import { AdapterError, type PeftShape, PREFIX, parsePeftConfig, peftFiles } from "./peft.js";

/**
 * The base with an adapter from a folder, ready to answer or to train on. The base itself is not changed.
 *
 * @throws AdapterError when the folder holds no adapter, one of a kind that is not supported, or one that does not fit the base;
 *   CheckpointError when its safetensors file does not hold.
 */
export async function loadAdapter(base: Model, folder: string): Promise<Model> {
  const shape = parsePeftConfig(await readPeftConfig(folder), path.join(folder, peftFiles.config));
  const file = await openWeights(folder);
  try {
    const sites = sitesIn(file, base, shape);
    return await withLora(base, { ...shape, sites }, async ({ name }) => {
      const { dtype, data } = await file.tensor(`${PREFIX}${name}`);
      const bytes = convert(data, dtype, "f32");
      if (!bytes)
        throw new AdapterError(file.path, `tensor "${PREFIX}${name}" is ${dtype}, expected floating-point numbers`);
      return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    });
  } finally {
    await file.close();
  }
}

async function readPeftConfig(folder: string): Promise<Record<string, unknown>> {
  const file = path.join(folder, peftFiles.config);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const problem = missing
      ? "there is no such file: expected the folder of an adapter"
      : `cannot be read: ${(cause as Error).message}`;
    throw new AdapterError(file, problem, { cause });
  }
  try {
    const fields = JSON.parse(text) as unknown;
    if (typeof fields === "object" && fields !== null && !Array.isArray(fields))
      return fields as Record<string, unknown>;
  } catch (cause) {
    throw new AdapterError(file, `expected JSON: ${(cause as Error).message}`, { cause });
  }
  throw new AdapterError(file, "expected a JSON object");
}

async function openWeights(folder: string): Promise<TensorFile> {
  const pickle = path.join(folder, peftFiles.pickle);
  const file = path.join(folder, peftFiles.weights);
  return openTensors(!(await exists(file)) && (await exists(pickle)) ? pickle : file);
}

async function exists(name: string): Promise<boolean> {
  try {
    await stat(name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** The linear layers the file has tensors for, each checked against the base. */
function sitesIn(file: TensorFile, base: Model, { rank }: PeftShape): readonly LinearSite[] {
  const known = new Map<string, readonly number[]>();
  for (const { name, inputs, outputs } of base.linears) {
    const { a, b } = loraNames(name);
    known.set(`${PREFIX}${a}`, [rank, inputs]);
    known.set(`${PREFIX}${b}`, [outputs, rank]);
  }
  if (file.tensors.size === 0)
    throw new AdapterError(file.path, "it holds no tensors: the adapter was saved empty and must be trained again");
  for (const [name, { shape }] of file.tensors) {
    const expected = known.get(name);
    if (!expected) throw new AdapterError(file.path, `tensor "${name}" belongs to no linear layer of "${base.name}"`);
    if (expected.join() === shape.join()) continue;
    throw new AdapterError(
      file.path,
      `tensor "${name}" has shape [${shape.join(", ")}], expected [${expected.join(", ")}] for "${base.name}" and rank ${rank}`,
    );
  }
  return base.linears.filter(({ name }) => {
    const { a, b } = loraNames(name);
    const [hasA, hasB] = [file.tensors.has(`${PREFIX}${a}`), file.tensors.has(`${PREFIX}${b}`)];
    if (hasA !== hasB) throw new AdapterError(file.path, `tensor "${PREFIX}${hasA ? b : a}" is missing`);
    return hasA;
  });
}
