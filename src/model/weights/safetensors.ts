// Opens safetensors files: the header now, the bytes of a tensor when they are asked for. Next to read: shards.ts, many files as one.

import { type OpenFile, openBytes } from "./bytes.js";
import { CheckpointError } from "./error.js";
import { type Header, MAX_HEADER_BYTES, readHeader } from "./header.js";
import { type TensorFile, tensorFile } from "./tensors.js";

/**
 * Open one safetensors file and check its header in full. Data is read when a tensor is asked for.
 *
 * @throws CheckpointError when there is no such file, it is a Git LFS pointer, empty or truncated, or its header does not hold.
 */
export async function openSafetensors(file: string): Promise<TensorFile> {
  const opened = await openBytes(file);
  try {
    const { tensors, metadata } = await checkedHeader(opened);
    return tensorFile(opened, tensors, metadata);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function checkedHeader({ path: file, bytes: size, head, read }: OpenFile): Promise<Header> {
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
  return readHeader(file, await read(8, headerBytes), size - 8 - headerBytes);
}
