// From a place in the code that runs to the place in the cell that was written: undo the kernel's edits, then follow
// the compiler's source map.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { lineAndColumn, lineStartsOf, undoOffset } from "../cell/edits.js";
import type { PositionData } from "../language/methods.js";

/** Line and column count from 1. */
export interface Place {
  readonly cell: number;
  readonly line: number;
  readonly column: number;
}

interface CellCode {
  readonly label: string;
  readonly code: string;
  readonly running: string;
  readonly positions: PositionData;
  lineStarts?: readonly number[];
  map?: TraceMap;
}

const cellFrame = /(?:file:\/\/)?[^\s()]*\[tunebook-cell-(\d+)\]:(\d+):(\d+)/;
const kernelFolder = fileURLToPath(new URL("..", import.meta.url));

/** The compiled cells of this kernel, by number. */
export class CellPlaces {
  readonly #folder: string;
  readonly #cells = new Map<number, CellCode>();
  readonly #placeOfError = new WeakMap<object, Place>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** File name under which a cell runs: dynamic imports inside `eval` are resolved beside it. */
  fileOf(cell: number): string {
    return join(this.#folder, `[tunebook-cell-${cell}]`);
  }

  add(cell: number, label: string, code: string, running: string, positions: PositionData): void {
    this.#cells.set(cell, { label, code, running, positions });
  }

  codeOf(place: Place): string {
    return this.#cells.get(place.cell)?.code ?? "";
  }

  labelOf(cell: number): string {
    return this.#cells.get(cell)?.label ?? "Cell";
  }

  /** Stack traces of this thread name places in cells from now on, whoever prints them. */
  mapStackTraces(): void {
    Error.prepareStackTrace = (error, sites) => {
      const lines = sites.flatMap((site) => {
        const mapped = this.mapLine(`    at ${site}`);
        if (mapped?.place && !this.#placeOfError.has(error)) this.#placeOfError.set(error, mapped.place);
        return mapped ? [mapped.text] : [];
      });
      return [String(error), ...lines].join("\n");
    };
  }

  /** The innermost place of an error that lies in a cell. */
  placeOf(error: object): Place | undefined {
    // V8 prepares the trace when it is first read.
    void (error as { stack?: unknown }).stack;
    return this.#placeOfError.get(error);
  }

  /** A line of a stack trace for the reader, undefined for a frame of the kernel or of Node.js's inside. */
  mapLine(line: string): { readonly text: string; readonly place?: Place } | undefined {
    const match = cellFrame.exec(line);
    const isFrame = /^\s*at /.test(line);
    if (!match) return isFrame && isInternal(line) ? undefined : { text: line };
    const place = this.find(Number(match[1]), Number(match[2]), Number(match[3]));
    if (!place) return isFrame ? undefined : { text: line.replace(cellFrame, this.labelOf(Number(match[1]))) };
    const text = line.replace(cellFrame, `${this.labelOf(place.cell)}, ${place.line}:${place.column}`);
    return { text: text.replace(/__scope\.|Object\.(?=\w+ \()/g, ""), place };
  }

  find(cell: number, line: number, column: number): Place | undefined {
    const found = this.#cells.get(cell);
    if (!found) return undefined;
    found.lineStarts ??= lineStartsOf(found.running);
    found.map ??= new TraceMap(found.positions.map);
    const start = found.lineStarts[line - 1];
    if (start === undefined) return undefined;
    const offset = undoOffset(start + column - 1, found.positions.edits);
    const emitted = lineAndColumn(offset, found.positions.lineStarts);
    const original = originalPositionFor(found.map, { line: emitted.line + 1, column: emitted.column });
    if (original.line === null || original.line > found.code.split("\n").length) return undefined;
    return { cell, line: original.line, column: original.column + 1 };
  }
}

function isInternal(frame: string): boolean {
  return /node:(internal|vm|async_hooks)/.test(frame) || frame.includes(kernelFolder);
}
