// The header of a safetensors file, checked in full before a byte of data is used. Next to read: safetensors.ts.

import { JsonError, parseJson } from "../../data/json.js";
import { CheckpointError } from "./error.js";

/** Bytes of one element of each dtype that is read; names as in the file. */
export const storedBytesOf = {
  F64: 8,
  F32: 4,
  BF16: 2,
  F16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;
export type StoredDType = keyof typeof storedBytesOf;

/** Longer headers are refused, as the reference implementation does: no real checkpoint comes near. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Where one tensor lies. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** The file that holds it. */
  readonly file: string;
  /** From the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes in the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/**
 * Check and read a header: every tensor of a known dtype, its bytes inside the file and as many as its shape needs,
 * no overlap and no hole, so that nothing hides between tensors.
 *
 * @param json - The header's bytes, without the eight bytes of its length.
 * @param dataBytes - Bytes of the file after the header.
 * @throws CheckpointError naming the tensor at fault.
 * @see https://github.com/huggingface/safetensors#format
 */
export function readHeader(file: string, json: Uint8Array, dataBytes: number): Header {
  const root = parseHeader(file, json);
  const dataStart = 8 + json.length;
  let metadata: Record<string, string> = {};
  const found: TensorInfo[] = [];
  for (const [name, value] of Object.entries(root)) {
    if (name === "__metadata__") metadata = readMetadata(file, value);
    else found.push(readTensorInfo(file, name, value, dataStart, dataBytes));
  }
  // Tensors without elements take no bytes and may share an offset with a neighbour: they come first.
  found.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  let before = "the header";
  for (const { name, offset, bytes } of found) {
    if (offset < end) throw new CheckpointError(file, `its bytes overlap those of "${before}"`, { tensor: name });
    if (offset > end) {
      throw new CheckpointError(file, `${offset - end} bytes between it and "${before}" belong to no tensor`, {
        tensor: name,
      });
    }
    end = offset + bytes;
    before = name;
  }
  if (end !== dataStart + dataBytes) {
    throw new CheckpointError(file, `the last ${dataStart + dataBytes - end} bytes of the file belong to no tensor`);
  }
  return { metadata, tensors: new Map(found.map((info) => [info.name, info])) };
}

function parseHeader(file: string, json: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
  } catch (cause) {
    throw new CheckpointError(file, "the header is not UTF-8: this is not a safetensors file, or it is damaged", {
      cause,
    });
  }
  try {
    const root = parseJson(text);
    if (isObject(root)) return root;
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    const where = `${cause.problem} at character ${cause.column} of line ${cause.line}`;
    throw new CheckpointError(
      file,
      `the header is not JSON (${where}): this is not a safetensors file, or it is damaged`,
      { cause },
    );
  }
  throw new CheckpointError(file, "the header is JSON but not an object: this is not a safetensors file");
}

function readMetadata(file: string, value: unknown): Record<string, string> {
  if (value === null) return {}; // mlx writes this
  if (isObject(value) && Object.values(value).every((text) => typeof text === "string"))
    return value as Record<string, string>;
  throw new CheckpointError(file, "expected `__metadata__` to map names to strings");
}

function readTensorInfo(file: string, name: string, value: unknown, dataStart: number, dataBytes: number): TensorInfo {
  const refuse = (problem: string) => new CheckpointError(file, problem, { tensor: name });
  if (!isObject(value)) throw refuse("expected an object with dtype, shape and data_offsets");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw refuse(`expected \`dtype\` to be a string, got ${JSON.stringify(dtype)}`);
  if (!Object.hasOwn(storedBytesOf, dtype)) {
    throw refuse(`dtype ${dtype} is not supported (supported: ${Object.keys(storedBytesOf).join(", ")})`);
  }
  if (!isSizes(shape)) throw refuse(`expected \`shape\` to be sizes from 0, got ${JSON.stringify(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2 || (offsets[0] as number) > (offsets[1] as number)) {
    throw refuse(`expected \`data_offsets\` to be [start, end], got ${JSON.stringify(offsets)}`);
  }
  const [start, end] = offsets as [number, number];
  if (end > dataBytes) {
    throw refuse(
      `its bytes end at ${end}, but the file holds ${dataBytes} bytes of data: it is truncated, or the header lies`,
    );
  }
  const bytes = shape.reduce((product, size) => product * size, storedBytesOf[dtype as StoredDType]);
  if (bytes !== end - start) {
    throw refuse(`${dtype} [${shape.join(", ")}] needs ${bytes} bytes, but its offsets hold ${end - start}`);
  }
  return { name, dtype: dtype as StoredDType, shape, file, offset: dataStart + start, bytes };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
