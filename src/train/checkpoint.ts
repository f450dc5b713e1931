// What a run needs to go on bit for bit: trained tensors, both moments and where it was. A checkpoint is a folder step-N, written beside
// and renamed, so that it is whole or not there.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { CheckpointError, openSafetensors, type StoredTensor, writeSafetensors } from "../model/weights/index.js";
import type { LossScale } from "./loss-scale.js";

/** Tensors by name, f32. */
export type Tensors = ReadonlyMap<string, StoredTensor>;

export interface CheckpointState {
  /** Updates made. */
  readonly update: number;
  /** Highest learning rate of the schedule, as last set. */
  readonly learningRate: number;
  /** Of a run in f16. */
  readonly lossScale?: LossScale | undefined;
  /** Loss of the first update of the run. */
  readonly firstLoss: number | undefined;
  /** sha256 of the trained tensors before the first update. */
  readonly start: string;
  /** sha256 of the encoded rows. */
  readonly data: string;
  /** The options a run must share with the one that wrote it. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface Checkpoint {
  readonly folder: string;
  readonly state: CheckpointState;
}

const files = { trained: "trained.safetensors", moments: "moments.safetensors", state: "state.json" };

/** Where the checkpoints of a run are. */
export function checkpointsOf(runFolder: string): string {
  return path.join(runFolder, "checkpoints");
}

/**
 * Write the checkpoint step-N of a run and remove all but its newest `keep`.
 *
 * @param tensors - The trained tensors and, named `<tensor>.m` and `<tensor>.v`, their moments.
 * @returns Its folder.
 */
export async function writeCheckpoint(
  runFolder: string,
  state: CheckpointState,
  tensors: { readonly trained: Tensors; readonly moments: Tensors },
  keep: number,
): Promise<string> {
  const parent = checkpointsOf(runFolder);
  const folder = path.join(parent, `step-${state.update}`);
  const beside = path.join(parent, `.step-${state.update}-${process.pid}`);
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { recursive: true });
  await writeSafetensors(path.join(beside, files.trained), tensors.trained, { format: "pt" });
  await writeSafetensors(path.join(beside, files.moments), tensors.moments, { format: "pt" });
  await writeFile(path.join(beside, files.state), `${JSON.stringify(state, undefined, 2)}\n`, { flush: true });
  await rm(folder, { recursive: true, force: true });
  await rename(beside, folder);
  const steps = await listSteps(parent);
  for (const step of steps.slice(0, Math.max(0, steps.length - keep))) {
    await rm(path.join(parent, `step-${step}`), { recursive: true, force: true });
  }
  for (const name of await readdir(parent)) {
    if (name.startsWith(".step-")) await rm(path.join(parent, name), { recursive: true, force: true });
  }
  return folder;
}

/**
 * The newest checkpoint of a run's folder, or the one whose own folder it is; undefined when there is none.
 *
 * @throws CheckpointError when its state.json is none.
 */
export async function findCheckpoint(folder: string): Promise<Checkpoint | undefined> {
  const own = /^step-\d+$/.test(path.basename(folder)) ? folder : undefined;
  const newest = (await listSteps(checkpointsOf(folder))).at(-1);
  const found = own ?? (newest === undefined ? undefined : path.join(checkpointsOf(folder), `step-${newest}`));
  if (found === undefined) return undefined;
  const file = path.join(found, files.state);
  try {
    return { folder: found, state: JSON.parse(await readFile(file, "utf8")) as CheckpointState };
  } catch (cause) {
    if (own && (cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new CheckpointError(file, `expected the state of a run: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Trained tensors and moments of a checkpoint.
 *
 * @param expected - Name and shape of every trained tensor.
 * @throws CheckpointError naming the tensor that is missing or has another shape.
 */
export async function readCheckpoint(
  { folder }: Checkpoint,
  expected: Iterable<readonly [name: string, shape: readonly number[]]>,
): Promise<{ readonly trained: Tensors; readonly moments: Tensors }> {
  const list = [...expected];
  const both = list.flatMap(([name, shape]) => [[`${name}.m`, shape] as const, [`${name}.v`, shape] as const]);
  return {
    trained: await readTensors(path.join(folder, files.trained), list),
    moments: await readTensors(path.join(folder, files.moments), both),
  };
}

async function readTensors(
  file: string,
  expected: readonly (readonly [string, readonly number[]])[],
): Promise<Tensors> {
  const stored = await openSafetensors(file);
  try {
    const tensors = new Map<string, StoredTensor>();
    for (const [name, shape] of expected) {
      const tensor = await stored.tensor(name);
      if (tensor.dtype !== "F32" || tensor.shape.join() !== shape.join()) {
        const found = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
        throw new CheckpointError(
          file,
          `expected F32 [${shape.join(", ")}], got ${found}: it was made for another model`,
          { tensor: name },
        );
      }
      tensors.set(name, tensor);
    }
    return tensors;
  } finally {
    await stored.close();
  }
}

/** Steps of the checkpoints in a folder, oldest first; none when there is no such folder. */
async function listSteps(parent: string): Promise<number[]> {
  let names: string[];
  try {
    names = await readdir(parent);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const steps = names.map((name) => /^step-(\d+)$/.exec(name)?.[1]).filter((step) => step !== undefined);
  return steps.map(Number).sort((a, b) => a - b);
}
