// Files and arrays -> rows, one at a time. Next to read: split.ts; columns.ts, which fields mean what.

import { createReadStream } from "node:fs";
import { open, readFile } from "node:fs/promises";
import path from "node:path";
import { type Columns, rowOf } from "./columns.js";
import { decodeUtf8, lfsPointerIn, POINTER_BYTES } from "./file.js";
import { arrayElements, findJsonError, JsonError, parseJson, positionOf } from "./json.js";
import { DatasetError, type Row } from "./row.js";

export interface ReadOptions {
  /** Names of the fields, where they are not instruction/input/output, prompt/response or text. */
  readonly columns?: Columns | undefined;
}

const PIECE_BYTES = 1 << 20;

/** Longest time to go on without letting the event loop turn. */
const TURN_MS = 4;

/**
 * Rows of a file, or of objects at hand, one at a time. Nothing is read before the first is asked for.
 *
 * A file holds a JSON array of objects (.json), or one JSON object per line (.jsonl); what it holds decides, not its name.
 * Lines are read as they are needed: such a file may be larger than memory. Fields: see `rowOf` in columns.ts.
 *
 * @throws DatasetError with file, line and column at the first thing that is no JSON, with file and line at the first object
 *   that is no row, and when there is no file, it is a Git LFS pointer, or holds no rows.
 */
export async function* readRows(
  source: string | Iterable<unknown> | AsyncIterable<unknown>,
  options: ReadOptions = {},
): AsyncGenerator<Row> {
  const file = typeof source === "string" ? source : "rows";
  let count = 0;
  let turned = performance.now();
  for await (const { value, line } of typeof source === "string" ? objectsIn(source) : numbered(source)) {
    const row = isRow(value) ? value : rowOf(value, options.columns);
    if (typeof row === "string")
      throw new DatasetError(file, row, { row: count, ...(line === undefined ? {} : { line }) });
    yield row;
    count += 1;
    if (performance.now() - turned < TURN_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    turned = performance.now();
  }
  if (count === 0) throw new DatasetError(file, "it holds no rows");
}

/** All rows of a file. @throws DatasetError as `readRows` does */
export async function rows(file: string, options: ReadOptions = {}): Promise<Row[]> {
  const all: Row[] = [];
  for await (const row of readRows(file, options)) all.push(row);
  return all;
}

interface Found {
  readonly value: unknown;
  /** From 1; undefined for objects that come from no file. */
  readonly line?: number;
}

/** Whether a value is a Row already, as this module makes them. */
function isRow(value: unknown): value is Row {
  if (typeof value !== "object" || value === null || !("kind" in value)) return false;
  const row = value as Readonly<Record<string, unknown>>;
  if (row.kind === "text") return typeof row.text === "string";
  const input = row.input === undefined || typeof row.input === "string";
  return row.kind === "instruction" && typeof row.instruction === "string" && typeof row.output === "string" && input;
}

async function* numbered(values: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<Found> {
  for await (const value of values) yield { value };
}

async function* objectsIn(file: string): AsyncGenerator<Found> {
  const head = await headOf(file);
  const pointer = lfsPointerIn(head, path.dirname(file), "data");
  if (pointer) throw new DatasetError(file, pointer);
  const first = /[^\s\ufeff]/.exec(new TextDecoder().decode(head))?.[0];
  if (first === undefined && head.length < POINTER_BYTES) throw new DatasetError(file, "it holds no rows");
  if (first === "[") yield* elementsIn(file);
  else if (first === "{" || first === undefined) yield* linesIn(file);
  else {
    throw new DatasetError(
      file,
      `expected JSON: an array "[...]", or one object "{...}" per line, it begins with ${JSON.stringify(first)}`,
      { line: 1 },
    );
  }
}

async function headOf(file: string): Promise<Uint8Array> {
  const fail = (cause: unknown) => {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    return new DatasetError(file, missing ? "there is no such file" : `cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  };
  const handle = await open(file, "r").catch((cause: unknown) => {
    throw fail(cause);
  });
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(POINTER_BYTES), 0, POINTER_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    throw fail(cause); // a folder, most likely
  } finally {
    await handle.close();
  }
}

async function* elementsIn(file: string): AsyncGenerator<Found> {
  const text = await textOf(file);
  try {
    for (const { start, end, line } of arrayElements(text)) yield { value: parseJson(text.slice(start, end)), line };
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    // The error's place counts from the start of its element; the first fault of the whole text is what to show.
    const found = findJsonError(text);
    const place = found ? positionOf(text, found.offset) : cause;
    throw new DatasetError(file, `not JSON: ${found?.problem ?? cause.problem}`, {
      line: place.line,
      column: place.column,
      cause,
    });
  }
}

/** A whole file as text, decoded piece by piece so that the event loop turns in between. */
async function textOf(file: string): Promise<string> {
  const bytes = await readFile(file);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const parts: string[] = [];
  try {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      parts.push(decoder.decode(bytes.subarray(at, at + PIECE_BYTES), { stream: true }));
      await new Promise((resolve) => setImmediate(resolve));
    }
    return parts.join("") + decoder.decode();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    return utf8Of(file, bytes); // throws, with the line
  }
}

async function* linesIn(file: string): AsyncGenerator<Found> {
  let line = 0;
  for await (const bytes of byteLines(file)) {
    line += 1;
    const text = utf8Of(file, bytes, line);
    if (text.trim() === "") continue;
    let value: unknown;
    try {
      value = parseJson(text);
    } catch (cause) {
      if (!(cause instanceof JsonError)) throw cause;
      const { problem, column } = cause;
      const spread =
        text.trim() === "{"
          ? " (one object spread over several lines: write each on one line, or all in an array)"
          : "";
      throw new DatasetError(file, `not JSON: ${problem}${spread}`, { line, column, cause });
    }
    yield { value, line };
  }
}

/** Lines of a file as bytes, without their line breaks. */
async function* byteLines(file: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer[] = [];
  for await (const part of createReadStream(file, { highWaterMark: 1 << 18 })) {
    const chunk = part as Buffer;
    let start = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, at)]);
      rest = [];
      start = at + 1;
    }
    rest.push(chunk.subarray(start));
  }
  const last = Buffer.concat(rest);
  if (last.length > 0) yield last;
}

function utf8Of(file: string, bytes: Uint8Array, line?: number): string {
  try {
    return decodeUtf8(bytes);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const problem = line === undefined ? cause.message : "it is not UTF-8: save the file as UTF-8";
    throw new DatasetError(file, problem, { ...(line === undefined ? {} : { line }), cause });
  }
}
