// The weights of a model folder: one file, or shards listed in an index, as safetensors or as torch.save wrote them. Next to read: write.ts.

import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { lfsPointerIn } from "../../data/file.js";
import { JsonError, parseJson } from "../../data/json.js";
import { CONSOLIDATED, isConsolidated, openConsolidated } from "./consolidated.js";
import { CheckpointError } from "./error.js";
import type { TensorInfo } from "./header.js";
import { openLlama2c } from "./llama2c.js";
import { openSafetensors } from "./safetensors.js";
import { missingTensor, type TensorFile } from "./tensors.js";
import { openTorch } from "./torch.js";

/** Names in the order they are looked for: what holds no pickle comes first. */
const wanted = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
  CONSOLIDATED,
] as const;

/**
 * Open the weights of a model folder in Hugging Face layout. Where there are safetensors and files of torch.save, the first are taken.
 *
 * @param folder - The folder, or a .safetensors, .bin, .pt, .pth or .index.json file in it.
 * @throws CheckpointError when there are no weights, a shard is missing, or the index and the shards disagree.
 */
export async function openCheckpoint(folder: string): Promise<TensorFile> {
  if (/\.(safetensors|bin|pth?|index\.json)$/.test(folder) && !(await isFolder(folder))) return openTensors(folder);
  for (const name of wanted) {
    const file = path.join(folder, name);
    if (await exists(file)) return openTensors(file);
  }
  if (!(await exists(folder))) throw new CheckpointError(folder, "there is no such folder");
  throw new CheckpointError(
    folder,
    `expected model.safetensors or pytorch_model.bin, or either with .index.json, in this folder, found neither${await otherWeights(folder)}`,
  );
}

/** One file of tensors, by its name: .safetensors, an index, Meta's, else what llama2.c or torch.save wrote. */
export async function openTensors(file: string): Promise<TensorFile> {
  if (file.endsWith(".safetensors")) return openSafetensors(file);
  if (file.endsWith(".index.json")) return openShards(file);
  if (isConsolidated(file)) return openConsolidated(file);
  return (await openLlama2c(file)) ?? openTorch(file);
}

/** What else lies there and could have been meant. */
async function otherWeights(folder: string): Promise<string> {
  const names = (await readdir(folder)).sort();
  const shard = names.find((name) => /-\d{5}-of-\d{5}\.(safetensors|bin)$/.test(name));
  if (shard) return `; there is ${shard}, but no index of the shards: download the .index.json beside it`;
  if (names.includes("adapter_config.json")) return "; it is the folder of an adapter: load its base, then the adapter";
  const alone = names.find(
    (name) =>
      /\.(safetensors|pth?|bin)$/.test(name) &&
      !/^(tokenizer|optimizer|scheduler|scaler|rng_state|training_args)/.test(name),
  );
  return alone ? `; there is ${alone}: give the path of that file, if it is meant` : "";
}

async function exists(file: string): Promise<boolean> {
  return (await statOf(file)) !== undefined;
}

async function isFolder(file: string): Promise<boolean> {
  return (await statOf(file))?.isDirectory() === true;
}

async function statOf(file: string) {
  try {
    return await stat(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

async function openShards(index: string): Promise<TensorFile> {
  const { weightMap, totalSize } = await readIndex(index);
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
    const more =
      missing.length > 1 ? `, with ${missing.slice(1, 6).join(", ")}${missing.length > 6 ? " and more" : ""}` : "";
    throw new CheckpointError(
      path.join(folder, missing[0] as string),
      `the shard is missing (${count}): download it${more}`,
    );
  }
  const shards = new Map<string, TensorFile>();
  const close = async () => {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  };
  try {
    for (const name of names) shards.set(name, await openTensors(path.join(folder, name)));
    return joined(index, { weightMap, totalSize, shards, close });
  } catch (error) {
    await close();
    throw error;
  }
}

interface Shards extends Index {
  readonly shards: ReadonlyMap<string, TensorFile>;
  readonly close: () => Promise<void>;
}

function joined(index: string, { weightMap, totalSize, shards, close }: Shards): TensorFile {
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
  const bytes = [...tensors.values()].reduce((sum, info) => sum + info.bytes, 0);
  // Known to be stale in published checkpoints whose vocabulary was cut, so it proves nothing about the download.
  const notices =
    totalSize === undefined || totalSize === bytes
      ? []
      : [
          `${index}: \`total_size\` is ${totalSize}, the tensors have ${bytes} bytes; every tensor of the index is there`,
        ];
  return {
    path: index,
    metadata,
    tensors,
    notices,
    tensor: async (name) => shardOf(name).tensor(name),
    pieces: async function* (name, dtype) {
      yield* shardOf(name).pieces(name, dtype);
    },
    close,
  };
}

interface Index {
  /** Tensor name -> shard file name. */
  readonly weightMap: ReadonlyMap<string, string>;
  readonly totalSize: number | undefined;
}

async function readIndex(index: string): Promise<Index> {
  let root: unknown;
  try {
    const bytes = await readFile(index);
    const pointer = lfsPointerIn(bytes, path.dirname(index), "index of the weights");
    if (pointer) throw new CheckpointError(index, pointer);
    root = parseJson(bytes.toString("utf8"));
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
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
  const { total_size: total } = ((root as { metadata?: unknown }).metadata ?? {}) as { total_size?: unknown };
  return {
    weightMap: new Map(Object.entries(map as Record<string, string>)),
    totalSize: typeof total === "number" ? total : undefined,
  };
}
