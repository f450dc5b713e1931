// What the language thread answers. Plain data, as it crosses threads. Implemented by language.ts.

import type { MessagePort } from "node:worker_threads";
import type { Edit } from "../cell/edits.js";

/** What the language thread starts with. */
export interface LanguageStart {
  /** The notebook's folder: imports are resolved from here. */
  readonly folder: string;
  /** Lines on which methods are called. */
  readonly ports: readonly MessagePort[];
}

export type Typecheck = "error" | "warn" | "off";

export interface CompileParams {
  /** Names the cell's module; unique in the life of the kernel. */
  readonly cell: number;
  readonly code: string;
  readonly typecheck: Typecheck;
  /** Whether later cells may use the names. False for user expressions. */
  readonly keep: boolean;
}

/** A complaint of TypeScript. Lines and columns count from 1; `length` is in UTF-16 units, 1 at least. */
export interface Complaint {
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly code: number;
  readonly message: string;
}

/** What it takes to find the place in the cell that a place in the running code came from. */
export interface PositionData {
  /** From emitted JavaScript to `code`. */
  readonly edits: readonly Edit[];
  /** Offsets of the lines of the emitted JavaScript. */
  readonly lineStarts: readonly number[];
  /** Source map (JSON) from the emitted JavaScript to the cell. */
  readonly map: string;
}

export type Compiled =
  | { readonly kind: "refused"; readonly complaints: readonly Complaint[] }
  | {
      readonly kind: "compiled";
      readonly code: string;
      readonly positions: PositionData;
      /** With typecheck "warn": what the checker would have refused. */
      readonly complaints: readonly Complaint[];
      /** Names that exist at run time once the cell has run. */
      readonly names: readonly string[];
    };

export interface CodeAndCursor {
  readonly code: string;
  /** In Unicode code points, as everywhere on the wire. */
  readonly cursor_pos: number;
}

export interface Completions {
  readonly matches: readonly string[];
  readonly cursor_start: number;
  readonly cursor_end: number;
  readonly metadata: Record<string, unknown>;
}

export interface Inspection {
  readonly found: boolean;
  readonly data: Record<string, string>;
  readonly metadata: Record<string, unknown>;
}

export interface Completeness {
  readonly status: "complete" | "incomplete" | "invalid";
  /** Only when incomplete: what the next line starts with. */
  readonly indent?: string;
}

export interface LanguageMethods {
  compile(params: CompileParams): Compiled;
  /** A cell ended without giving these names a value: later cells shall not find them. */
  forget(params: { readonly names: readonly string[] }): void;
  complete(params: CodeAndCursor): Completions;
  inspect(params: CodeAndCursor & { readonly detail_level?: number }): Inspection;
  isComplete(params: { readonly code: string }): Completeness;
  /** A local TypeScript module to JavaScript, with its source map inside. */
  transpile(params: { readonly path: string; readonly code: string }): string;
}
