// A file of weights as bytes: opened, looked at before anyone parses it, read where it is asked for. Next to read: tensors.ts.

import { type FileHandle, open } from "node:fs/promises";
import path from "node:path";
import { lfsPointerIn, POINTER_BYTES } from "../../data/file.js";
import { CheckpointError } from "./error.js";

/** Bytes read at a time. Converting this many takes about a millisecond. */
export const PIECE_BYTES = 1 << 20;

export interface OpenFile {
  readonly path: string;
  readonly bytes: number;
  /** The first bytes, as many as POINTER_BYTES where the file has them. */
  readonly head: Uint8Array;
  /** Exactly `bytes` bytes from `offset`, in memory of their own. */
  read(offset: number, bytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Open a file and make sure that it can be weights at all.
 *
 * @throws CheckpointError when there is no such file, or it is a folder, empty, a Git LFS pointer, or a web page saved in its place.
 */
export async function openBytes(file: string): Promise<OpenFile> {
  const handle = await openHandle(file);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new CheckpointError(file, "expected a file, this is a folder");
    if (stat.size === 0) throw new CheckpointError(file, "the file is empty: download it again");
    const head = await readBytes(file, handle, 0, Math.min(stat.size, POINTER_BYTES));
    const instead = lfsPointerIn(head, path.dirname(file), "weights") ?? webPageIn(head);
    if (instead) throw new CheckpointError(file, instead);
    return {
      path: file,
      bytes: stat.size,
      head,
      read: (offset, bytes) => readBytes(file, handle, offset, bytes),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openHandle(file: string): Promise<FileHandle> {
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

/** What a browser, or a download without a login, saves under the name of the weights. */
function webPageIn(head: Uint8Array): string | undefined {
  const text = new TextDecoder("latin1").decode(head).trimStart();
  if (/^<(!doctype|html|\?xml)/i.test(text))
    return "this is a web page, not the weights: download the file itself, not the page that shows it";
  if (/^(Entry not found|Repository not found|Access to model|Invalid (username|credentials))/.test(text))
    return `this is a server's message, not the weights: ${JSON.stringify(text.split("\n")[0]?.slice(0, 120))}`;
  return undefined;
}
