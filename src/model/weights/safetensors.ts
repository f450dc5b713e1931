// Reads tensors from safetensors files, only the bytes that are asked for. Next to read: shards.ts, many files as one.

import { type FileHandle, open } from "node:fs/promises";
import path from "node:path";
import { lfsPointerIn, POINTER_BYTES } from "../../data/file.js";
import type { DType } from "../../engine/dtype.js";
import { convert } from "./convert.js";
import { CheckpointError } from "./error.js";
import { type Header, MAX_HEADER_BYTES, readHeader, type StoredDType, type TensorInfo } from "./header.js";

/** A tensor with its bytes, little endian, row-major, as stored. */
export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Tensors by name, in one file or in shards. */
export interface TensorFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * All bytes of one tensor, in memory of their own.
   * @throws CheckpointError when there is no such tensor, with names that come close.
   */
  tensor(name: string): Promise<StoredTensor>;
  /**
   * One tensor piece by piece in the wanted dtype, so that a 2 GB matrix needs no 2 GB here and no piece blocks the event loop.
   * `offset` counts bytes of the wanted dtype from the start of the tensor.
   * @throws CheckpointError when the tensor is missing, or holds no floating-point numbers.
   */
  pieces(
    name: string,
    dtype: Exclude<DType, "i32">,
  ): AsyncGenerator<{ readonly offset: number; readonly data: Uint8Array }>;
  close(): Promise<void>;
}

/** Bytes read at a time. Converting this many takes about a millisecond. */
const PIECE_BYTES = 1 << 20;

/**
 * Open one safetensors file and check its header in full. Data is read when a tensor is asked for.
 *
 * @throws CheckpointError when there is no such file, it is a Git LFS pointer, empty or truncated, or its header does not hold.
 */
export async function openSafetensors(file: string): Promise<TensorFile> {
  const handle = await openFile(file);
  try {
    return tensorFile(file, handle, await checkedHeader(file, handle));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, "r");
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new CheckpointError(
      file,
      missing ? "there is no such file" : `cannot be opened: ${(cause as Error).message}`,
      { cause },
    );
  }
}

async function checkedHeader(file: string, handle: FileHandle): Promise<Header> {
  const stat = await handle.stat();
  if (!stat.isFile()) throw new CheckpointError(file, "expected a file, this is a folder");
  const { size } = stat;
  if (size === 0) throw new CheckpointError(file, "the file is empty: download it again");
  const head = await readBytes(file, handle, 0, Math.min(size, POINTER_BYTES));
  const pointer = lfsPointerIn(head, path.dirname(file), "weights");
  if (pointer) throw new CheckpointError(file, pointer);
  if (size < 8)
    throw new CheckpointError(file, `the file has ${size} bytes, too few for a safetensors header: download it again`);
  const headerBytes = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new CheckpointError(
      file,
      `the header would be ${headerBytes} bytes, more than ${MAX_HEADER_BYTES}: this is not a safetensors file`,
    );
  }
  if (8 + headerBytes > size) {
    throw new CheckpointError(
      file,
      `the header is ${headerBytes} bytes but the file ends after ${size}: it is truncated, download it again`,
    );
  }
  return readHeader(file, await readBytes(file, handle, 8, headerBytes), size - 8 - headerBytes);
}

/** Exactly `bytes` bytes from `offset`. */
async function readBytes(file: string, handle: FileHandle, offset: number, bytes: number): Promise<Uint8Array> {
  const data = new Uint8Array(bytes);
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await handle.read(data, done, Math.min(bytes - done, 8 * PIECE_BYTES), offset + done);
    if (bytesRead === 0)
      throw new CheckpointError(file, `the file ended at byte ${offset + done} while it was read: did it change?`);
    done += bytesRead;
  }
  return data;
}

function tensorFile(file: string, handle: FileHandle, { metadata, tensors }: Header): TensorFile {
  const find = (name: string): TensorInfo => {
    const info = tensors.get(name);
    if (!info) throw missingTensor(file, name, tensors.keys());
    return info;
  };
  return {
    path: file,
    metadata,
    tensors,
    async tensor(name) {
      const { dtype, shape, offset, bytes } = find(name);
      return { dtype, shape, data: await readBytes(file, handle, offset, bytes) };
    },
    async *pieces(name, dtype) {
      const info = find(name);
      let written = 0;
      for (let at = 0; at < info.bytes; at += PIECE_BYTES) {
        const stored = await readBytes(file, handle, info.offset + at, Math.min(PIECE_BYTES, info.bytes - at));
        const data = convert(stored, info.dtype, dtype);
        if (!data)
          throw new CheckpointError(file, `it is ${info.dtype}, expected floating-point numbers`, { tensor: name });
        yield { offset: written, data };
        written += data.length;
      }
    },
    close: () => handle.close(),
  };
}

/** The error for a name that is not in a checkpoint, with a few names of the same last part. */
export function missingTensor(file: string, name: string, names: Iterable<string>): CheckpointError {
  const all = [...names];
  const ending = name.split(".").slice(-2).join(".");
  const close = all.filter((other) => other.endsWith(ending)).slice(0, 3);
  const shown = close.length > 0 ? close : all.slice(0, 3);
  const has =
    all.length === 0 ? "the file holds no tensors" : `the file has ${all.length} tensors, such as ${shown.join(", ")}`;
  return new CheckpointError(file, `it is missing; ${has}`, { tensor: name });
}
