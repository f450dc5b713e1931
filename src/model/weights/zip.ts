// The records of a zip archive whose contents are stored, not compressed: what torch.save writes. Next to read: torch.ts.

import type { OpenFile } from "./bytes.js";
import { CheckpointError } from "./error.js";

/** Bytes of one record of the archive, within the file. */
export interface ZipRecord {
  readonly offset: number;
  readonly bytes: number;
}

const END = 0x06054b50;
const END64 = 0x06064b50;
const END64_LOCATOR = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** In a 32-bit field: the number is in a zip64 record instead. */
const ELSEWHERE = 0xffffffff;
/** End record, its longest comment, and the zip64 locator and record before it. */
const TAIL_BYTES = 22 + 65535 + 20 + 56;
const MAX_DIRECTORY_BYTES = 64 << 20;

/**
 * Read the directory of an archive: every record inside the file, stored, none over another.
 *
 * A compressed record is refused rather than unpacked: torch.save writes none, and so no file is larger in memory than on disk.
 *
 * @throws CheckpointError when the directory is missing, as in a truncated file, or does not hold.
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7 to 4.3.16
 */
export async function readZip(file: OpenFile): Promise<ReadonlyMap<string, ZipRecord>> {
  const refuse = (problem: string) => new CheckpointError(file.path, problem);
  const { entries, at, bytes } = await findDirectory(file);
  if (bytes > MAX_DIRECTORY_BYTES || at + bytes > file.bytes || entries * 46 > bytes)
    throw refuse("the zip directory does not fit into the file: it is damaged, download it again");
  const directory = view(await file.read(at, bytes));
  const records = new Map<string, ZipRecord>();
  let next = 0;
  for (let entry = 0; entry < entries; entry++) {
    if (next + 46 > bytes || directory.getUint32(next, true) !== CENTRAL)
      throw refuse(`the zip directory breaks off at record ${entry + 1} of ${entries}: download it again`);
    const flags = directory.getUint16(next + 8, true);
    const method = directory.getUint16(next + 10, true);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => directory.getUint16(next + field, true));
    const end = next + 46 + (nameBytes as number) + (extraBytes as number) + (commentBytes as number);
    if (end > bytes)
      throw refuse(`the zip directory breaks off at record ${entry + 1} of ${entries}: download it again`);
    const name = textOf(directory, next + 46, nameBytes as number);
    if (name.startsWith("/") || name.includes("\\") || name.split("/").includes(".."))
      throw refuse(`record "${name}" of the archive would lie outside of it: refused`);
    if (records.has(name)) throw refuse(`the archive has two records named "${name}": refused`);
    if (method !== 0 || (flags & 1) === 1)
      throw refuse(
        `record "${name}" is ${method === 0 ? "encrypted" : "compressed"}; torch.save stores it plain: save the file again with torch`,
      );
    const extra = next + 46 + (nameBytes as number);
    const [stored, header] = largeFields(directory, next, extra, extra + (extraBytes as number));
    records.set(name, { offset: await dataOffset(file, name, header), bytes: stored });
    next = end;
  }
  refuseOverlaps(file, records, at);
  return records;
}

/** Where the directory lies: from the end record, or from its zip64 twin where the file is large. */
async function findDirectory(file: OpenFile): Promise<{ entries: number; at: number; bytes: number }> {
  const tailBytes = Math.min(file.bytes, TAIL_BYTES);
  const start = file.bytes - tailBytes;
  const tail = view(await file.read(start, tailBytes));
  let end = tailBytes - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end -= 1;
  if (end < 0) {
    throw new CheckpointError(file.path, "the end of the zip archive is missing: it is truncated, download it again");
  }
  const locator = end - 20;
  if (locator < 0 || tail.getUint32(locator, true) !== END64_LOCATOR) {
    const [entries, bytes, at] = [
      tail.getUint16(end + 10, true),
      tail.getUint32(end + 12, true),
      tail.getUint32(end + 16, true),
    ];
    return { entries, at, bytes };
  }
  const record = Number(tail.getBigUint64(locator + 8, true)) - start;
  if (!(record >= 0 && record + 56 <= tailBytes) || tail.getUint32(record, true) !== END64)
    throw new CheckpointError(file.path, "the zip64 end record is missing: it is damaged, download it again");
  return {
    entries: Number(tail.getBigUint64(record + 32, true)),
    bytes: Number(tail.getBigUint64(record + 40, true)),
    at: Number(tail.getBigUint64(record + 48, true)),
  };
}

/** Stored bytes and place of the local header; from the zip64 field where they need more than 32 bits. */
function largeFields(directory: DataView, entry: number, extra: number, extraEnd: number): [number, number] {
  let stored = directory.getUint32(entry + 20, true);
  let header = directory.getUint32(entry + 42, true);
  const unpackedElsewhere = directory.getUint32(entry + 24, true) === ELSEWHERE;
  for (let at = extra; at + 4 <= extraEnd; at += 4 + directory.getUint16(at + 2, true)) {
    if (directory.getUint16(at, true) !== 1) continue;
    const end = Math.min(extraEnd, at + 4 + directory.getUint16(at + 2, true));
    let field = at + 4 + (unpackedElsewhere ? 8 : 0);
    const take = () => {
      const value = field + 8 <= end ? Number(directory.getBigUint64(field, true)) : Number.NaN;
      field += 8;
      return value;
    };
    if (stored === ELSEWHERE) stored = take();
    if (header === ELSEWHERE) header = take();
  }
  return [stored, header];
}

/** The local header repeats the name; the data follows it and a padding of its own. */
async function dataOffset(file: OpenFile, name: string, header: number): Promise<number> {
  const damaged = () =>
    new CheckpointError(file.path, `record "${name}" is not where the zip directory says: it is damaged`);
  if (!(header + 30 <= file.bytes)) throw damaged();
  const local = view(await file.read(header, 30));
  if (local.getUint32(0, true) !== LOCAL) throw damaged();
  return header + 30 + local.getUint16(26, true) + local.getUint16(28, true);
}

function refuseOverlaps(file: OpenFile, records: ReadonlyMap<string, ZipRecord>, limit: number): void {
  let end = 0;
  let before = "";
  for (const [name, { offset, bytes }] of [...records].sort(([, a], [, b]) => a.offset - b.offset)) {
    if (offset < end) throw new CheckpointError(file.path, `records "${before}" and "${name}" share bytes: refused`);
    end = offset + bytes;
    before = name;
    if (!(end <= limit))
      throw new CheckpointError(
        file.path,
        `record "${name}" reaches beyond the archive's data: it is truncated or damaged`,
      );
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textOf(directory: DataView, offset: number, bytes: number): string {
  return new TextDecoder("utf-8").decode(new Uint8Array(directory.buffer, directory.byteOffset + offset, bytes));
}
