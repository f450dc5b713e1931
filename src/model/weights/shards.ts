// A checkpoint folder: one safetensors file, or shards listed in model.safetensors.index.json. Next to read: write.ts.

import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { JsonError, parseJson } from "../../data/json.js";
import { CheckpointError } from "./error.js";
import type { TensorInfo } from "./header.js";
import { missingTensor, openSafetensors, type TensorFile } from "./safetensors.js";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/**
 * Open the weights of a model folder in Hugging Face layout.
 *
 * @param folder - The folder, or a .safetensors or .safetensors.index.json file in it.
 * @throws CheckpointError when there are no weights, a shard is missing, or the index and the shards disagree.
 */
export async function openCheckpoint(folder: string): Promise<TensorFile> {
  if (folder.endsWith(".safetensors")) return openSafetensors(folder);
  if (folder.endsWith(".index.json")) return openShards(folder);
  const [single, index] = await Promise.all([exists(path.join(folder, SINGLE)), exists(path.join(folder, INDEX))]);
  if (single) return openSafetensors(path.join(folder, SINGLE));
  if (index) return openShards(path.join(folder, INDEX));
  if (!(await exists(folder))) throw new CheckpointError(folder, "there is no such folder");
  const pickles = await exists(path.join(folder, "pytorch_model.bin"));
  const hint = pickles ? "; pytorch_model.bin is not read: save the model with safe_serialization=True" : "";
  throw new CheckpointError(folder, `expected ${SINGLE} or ${INDEX} in this folder, found neither${hint}`);
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

async function openShards(index: string): Promise<TensorFile> {
  const weightMap = await readIndex(index);
  const folder = path.dirname(index);
  const names = [...new Set(weightMap.values())].sort();
  for (const name of names) {
    if (name !== path.basename(name) || name === "" || name === "." || name === ".." || name.includes("\\")) {
      throw new CheckpointError(index, `shard "${name}" would lie outside the folder: refused`);
    }
  }
  const there = await Promise.all(names.map((name) => exists(path.join(folder, name))));
  const missing = names.filter((_, i) => !there[i]);
  if (missing.length > 0) {
    const count = `${names.length - missing.length} of ${names.length} shards are there`;
    throw new CheckpointError(path.join(folder, missing[0] as string), `the shard is missing (${count}): download it`);
  }
  const shards = new Map<string, TensorFile>();
  const close = async () => {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  };
  try {
    for (const name of names) shards.set(name, await openSafetensors(path.join(folder, name)));
    return joined(index, weightMap, shards, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function joined(
  index: string,
  weightMap: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, TensorFile>,
  close: () => Promise<void>,
): TensorFile {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shard] of weightMap) {
    const info = shards.get(shard)?.tensors.get(name);
    if (!info)
      throw new CheckpointError(index, `the index says it is in ${shard}, which does not hold it`, { tensor: name });
    tensors.set(name, info);
  }
  const shardOf = (name: string): TensorFile => {
    const shard = shards.get(weightMap.get(name) ?? "");
    if (!shard) throw missingTensor(index, name, tensors.keys());
    return shard;
  };
  const metadata = Object.assign({}, ...[...shards.values()].map((shard) => shard.metadata)) as Record<string, string>;
  return {
    path: index,
    metadata,
    tensors,
    tensor: async (name) => shardOf(name).tensor(name),
    pieces: async function* (name, dtype) {
      yield* shardOf(name).pieces(name, dtype);
    },
    close,
  };
}

/** Tensor name -> shard file name. */
async function readIndex(index: string): Promise<ReadonlyMap<string, string>> {
  let root: unknown;
  try {
    root = parseJson(await readFile(index, "utf8"));
  } catch (cause) {
    if (cause instanceof JsonError)
      throw new CheckpointError(`${index}:${cause.line}:${cause.column}`, cause.problem, { cause });
    throw new CheckpointError(index, `cannot be read: ${(cause as Error).message}`, { cause });
  }
  const map = typeof root === "object" && root !== null && "weight_map" in root ? root.weight_map : undefined;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw new CheckpointError(index, "expected an object `weight_map` from tensor names to file names");
  }
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string")
      throw new CheckpointError(index, `expected a file name, got ${JSON.stringify(shard)}`, { tensor });
  }
  return new Map(Object.entries(map as Record<string, string>));
}
