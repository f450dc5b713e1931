// Tensors by name, whatever file they lie in: what every reader of checkpoints gives. Next to read: safetensors.ts, torch.ts.

import type { FloatDType } from "../../engine/dtype.js";
import { type OpenFile, PIECE_BYTES } from "./bytes.js";
import { convert } from "./convert.js";
import { CheckpointError } from "./error.js";
import { type StoredDType, storedBytesOf, type TensorInfo } from "./header.js";

/** A tensor with its bytes, little endian, row-major. */
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
  /** What is odd about the files, though they can be read: sentences for people. */
  readonly notices?: readonly string[];
  /**
   * All bytes of one tensor, in memory of their own.
   * @throws CheckpointError when there is no such tensor, with names that come close.
   */
  tensor(name: string): Promise<StoredTensor>;
  /**
   * One tensor piece by piece in the wanted dtype, so that a 2 GB matrix needs no 2 GB here and no piece blocks the event loop.
   * `offset` counts bytes of the wanted dtype from the start of the tensor. In i8 are codes of matrices in few bits, as they are.
   * @throws CheckpointError when the tensor is missing, or holds no floating-point numbers, or no codes.
   */
  pieces(
    name: string,
    dtype: FloatDType | "i8",
  ): AsyncGenerator<{ readonly offset: number; readonly data: Uint8Array }>;
  close(): Promise<void>;
}

/** A tensor whose elements do not lie in row-major order: sizes from the outermost, and elements to step along each. */
export interface StridedInfo extends TensorInfo {
  /** Absent for row-major order. The product of sizes is that of `shape`; there may be more of them, where axes were merged. */
  readonly walk?: { readonly sizes: readonly number[]; readonly strides: readonly number[] };
}

/** Tensors of one open file. */
export function tensorFile(
  file: OpenFile,
  tensors: ReadonlyMap<string, StridedInfo>,
  metadata: Readonly<Record<string, string>> = {},
): TensorFile {
  const find = (name: string): StridedInfo => {
    const info = tensors.get(name);
    if (!info) throw missingTensor(file.path, name, tensors.keys());
    return info;
  };
  return {
    path: file.path,
    metadata,
    tensors,
    async tensor(name) {
      const info = find(name);
      const { dtype, shape, offset, bytes } = info;
      if (!info.walk) return { dtype, shape, data: await file.read(offset, bytes) };
      const data = new Uint8Array(bytes);
      for await (const { offset: at, data: piece } of storedPieces(file, info)) data.set(piece, at);
      return { dtype, shape, data };
    },
    async *pieces(name, dtype) {
      const info = find(name);
      let written = 0;
      for await (const stored of storedPieces(file, info)) {
        const data = convert(stored.data, info.dtype, dtype);
        if (!data)
          throw new CheckpointError(
            file.path,
            `it is ${info.dtype}, expected ${dtype === "i8" ? "codes in I8" : "floating-point numbers"}`,
            { tensor: name },
          );
        yield { offset: written, data };
        written += data.length;
      }
    },
    close: () => file.close(),
  };
}

type Piece = { readonly offset: number; readonly data: Uint8Array };

async function* storedPieces(file: OpenFile, info: StridedInfo): AsyncGenerator<Piece> {
  if (info.walk) {
    yield* walkedPieces(file, info, info.walk);
    return;
  }
  for (let at = 0; at < info.bytes; at += PIECE_BYTES)
    yield { offset: at, data: await file.read(info.offset + at, Math.min(PIECE_BYTES, info.bytes - at)) };
}

/** Row-major pieces of a tensor that is not: its bytes are read once, whole, since every piece needs most of them. */
async function* walkedPieces(
  file: OpenFile,
  info: StridedInfo,
  { sizes, strides }: NonNullable<StridedInfo["walk"]>,
): AsyncGenerator<Piece> {
  if (info.bytes === 0) return;
  const width = storedBytesOf[info.dtype];
  const stored = await file.read(info.offset, extentOf(sizes, strides) * width);
  const index = new Array<number>(sizes.length).fill(0);
  let from = 0;
  for (let offset = 0; offset < info.bytes; ) {
    const data = new Uint8Array(Math.min(PIECE_BYTES, info.bytes - offset));
    for (let at = 0; at < data.length; at += width) {
      const source = from * width;
      for (let byte = 0; byte < width; byte++) data[at + byte] = stored[source + byte] as number;
      for (let axis = sizes.length - 1; axis >= 0; axis--) {
        from += strides[axis] as number;
        index[axis] = (index[axis] as number) + 1;
        if ((index[axis] as number) < (sizes[axis] as number)) break;
        from -= (index[axis] as number) * (strides[axis] as number);
        index[axis] = 0;
      }
    }
    yield { offset, data };
    offset += data.length;
  }
}

/** Elements from the first to the last that a walk touches, both counted; 0 for an empty tensor. */
export function extentOf(sizes: readonly number[], strides: readonly number[]): number {
  if (sizes.includes(0)) return 0;
  return sizes.reduce((last, size, axis) => last + (size - 1) * (strides[axis] as number), 1);
}

/** Whether a walk is plain row-major order. Axes of one element may have any stride. */
export function isRowMajor(sizes: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    if (sizes[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= sizes[axis] as number;
  }
  return true;
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
