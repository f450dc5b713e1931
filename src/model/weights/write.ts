// Writes safetensors files: the same tensors give the same bytes, and the old file stays until the new one is whole.

import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { CheckpointError } from "./error.js";
import { storedBytesOf } from "./header.js";
import type { StoredTensor } from "./tensors.js";

let written = 0;

/**
 * Write tensors to a safetensors file. It is written beside its place, forced to disk, and renamed over it,
 * so a crash leaves the old file or the new one, never half of one.
 *
 * Bytes depend on the tensors and metadata only, not on the order they come in: tensors are laid out widest dtype first
 * and then by name, and the header is padded with spaces to a multiple of 8.
 *
 * @throws CheckpointError when a tensor's bytes do not match its shape, or the file cannot be written.
 */
export async function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = [...tensors].sort(
    ([a, x], [b, y]) => storedBytesOf[y.dtype] - storedBytesOf[x.dtype] || compare(a, b),
  );
  const header: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  const keys = Object.keys(metadata).sort(compare);
  if (keys.length > 0) header.__metadata__ = Object.fromEntries(keys.map((key) => [key, metadata[key]]));
  let offset = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    const bytes = shape.reduce((product, size) => product * size, storedBytesOf[dtype]);
    if (name === "__metadata__") throw new CheckpointError(file, "this name is kept for metadata", { tensor: name });
    if (bytes !== data.length) {
      throw new CheckpointError(file, `${dtype} [${shape.join(", ")}] needs ${bytes} bytes, got ${data.length}`, {
        tensor: name,
      });
    }
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(json, 8);
  await replaceFile(file, [start, ...sorted.map(([, tensor]) => tensor.data)]);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Put a file in place whole or not at all: written beside, forced to disk, renamed over.
 *
 * @throws CheckpointError when the disk refuses; what was written so far is removed.
 */
export async function replaceFile(file: string, parts: readonly Uint8Array[]): Promise<void> {
  const beside = `${file}.${process.pid}-${written++}.part`;
  try {
    const handle = await open(beside, "wx");
    try {
      for (const part of parts) await handle.writeFile(part);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (cause) {
    await rm(beside, { force: true });
    throw new CheckpointError(file, `cannot be written: ${(cause as Error).message}`, { cause });
  }
  await syncFolder(path.dirname(file));
}

/** The rename itself is on disk only when its folder is. Windows cannot open folders and does not need it. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
