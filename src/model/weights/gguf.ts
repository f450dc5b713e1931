// Writes GGUF files, the format of llama.cpp: settings, then tensors. What a model's settings and names are: ../gguf.ts.

import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { f32ToF16 } from "./convert.js";
import { CheckpointError } from "./error.js";

/** Codes as in ggml.h. */
const ggmlTypes = { f32: 0, f16: 1, q8_0: 8 } as const;
export type GgufType = keyof typeof ggmlTypes;

export type GgufValue =
  | { readonly kind: "u32" | "f32"; readonly value: number }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  | { readonly kind: "f32s" | "i32s"; readonly value: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  /** Outermost first, as everywhere here; the file has them the other way round. */
  readonly shape: readonly number[];
  readonly type: GgufType;
  /** Values in row-major order, piece by piece; pieces of q8_0 are whole blocks of 32. */
  values(): AsyncIterable<Float32Array>;
}

const ALIGNMENT = 32;
/** Numbers that share one scale in q8_0. */
export const BLOCK = 32;

/**
 * Write a GGUF file, version 3, little endian: beside its place, then renamed over it. Values pass piece by piece.
 *
 * @throws CheckpointError when a tensor's values are not as many as its shape, or the file cannot be written.
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export async function writeGguf(
  file: string,
  settings: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): Promise<void> {
  const beside = `${file}.${process.pid}.part`;
  try {
    const handle = await open(beside, "wx");
    try {
      await handle.writeFile(headerOf(settings, tensors));
      for (const tensor of tensors) await writeValues(file, handle, tensor);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (cause) {
    await rm(beside, { force: true });
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError(file, `cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function bytesOf({ shape, type }: GgufTensor): number {
  const count = shape.reduce((product, size) => product * size, 1);
  if (type === "q8_0") return (count / BLOCK) * (2 + BLOCK);
  return count * (type === "f32" ? 4 : 2);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function headerOf(settings: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Buffer {
  const parts: Buffer[] = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(settings.size)];
  for (const [key, value] of settings) parts.push(text(key), valueBytes(value));
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, type } = tensor;
    parts.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(ggmlTypes[type]), u64(offset));
    offset += aligned(bytesOf(tensor));
  }
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);
}

async function writeValues(file: string, handle: FileHandle, tensor: GgufTensor): Promise<void> {
  const count = tensor.shape.reduce((product, size) => product * size, 1);
  let written = 0;
  for await (const values of tensor.values()) {
    const data = tensor.type === "q8_0" ? quantised(values) : tensor.type === "f16" ? f32ToF16(values) : values;
    await handle.writeFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    written += values.length;
  }
  if (written !== count)
    throw new CheckpointError(file, `has ${written} values, its shape needs ${count}`, { tensor: tensor.name });
  const bytes = bytesOf(tensor);
  await handle.writeFile(new Uint8Array(aligned(bytes) - bytes));
}

/** Blocks of 32: one f16 scale d = max |x| / 127, then round(x / d) as i8, halves away from zero, as ggml's reference does. */
function quantised(values: Float32Array): Uint8Array {
  const bytes = Buffer.alloc((values.length / BLOCK) * (2 + BLOCK));
  for (let block = 0; block * BLOCK < values.length; block++) {
    const from = block * BLOCK;
    let most = 0;
    for (let i = 0; i < BLOCK; i++) most = Math.max(most, Math.abs(values[from + i] as number));
    const scale = Math.fround(most / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const at = block * (2 + BLOCK);
    bytes.writeUInt16LE(f32ToF16(Float32Array.of(scale))[0] as number, at);
    for (let i = 0; i < BLOCK; i++) {
      const x = Math.fround((values[from + i] as number) * inverse);
      bytes.writeInt8(Math.sign(x) * Math.floor(Math.abs(x) + 0.5), at + 2 + i);
    }
  }
  return bytes;
}

/** Codes of metadata types as in gguf.md. */
function valueBytes(setting: GgufValue): Buffer {
  const array = (code: number, items: readonly Buffer[]) =>
    Buffer.concat([u32(9), u32(code), u64(items.length), ...items]);
  switch (setting.kind) {
    case "u32":
      return Buffer.concat([u32(4), u32(setting.value)]);
    case "f32":
      return Buffer.concat([u32(6), f32(setting.value)]);
    case "bool":
      return Buffer.concat([u32(7), Buffer.of(setting.value ? 1 : 0)]);
    case "string":
      return Buffer.concat([u32(8), text(setting.value)]);
    case "strings":
      return array(8, setting.value.map(text));
    case "f32s":
      return array(6, setting.value.map(f32));
    case "i32s":
      return array(5, setting.value.map(i32));
    default:
      return setting satisfies never;
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function i32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([u64(bytes.length), bytes]);
}
