// Errors as a person at a notebook reads them: "Cell [3], 2:7", the lines around it, no frames of the kernel.

import { inspect } from "node:util";
import type { Complaint } from "../language/methods.js";
import type { CellPlaces } from "./places.js";

export interface ErrorContent extends Record<string, unknown> {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

const red = (text: string) => `\u001b[31m${text}\u001b[39m`;
const dim = (text: string) => `\u001b[2m${text}\u001b[22m`;

export function errorContent(error: unknown, places: CellPlaces): ErrorContent {
  const isError = error instanceof Error || Object.prototype.toString.call(error) === "[object Error]";
  const ename = isError ? String((error as Error).name) : "Thrown";
  const evalue = isError ? String((error as Error).message) : inspect(error);
  const place = isError ? places.placeOf(error as object) : undefined;
  const text = describe(error);
  const stack = text.indexOf("\n    at ");
  const head = stack < 0 ? text : text.slice(0, stack);
  const rest = stack < 0 ? [] : [dim(text.slice(stack + 1))];
  const frame = place ? [codeFrame(places.codeOf(place), place.line, place.column, 1)] : [];
  return { ename, evalue, traceback: [isError ? red(head) : `${red(ename)}: ${head}`, ...frame, ...rest] };
}

/** The text of an error, with its causes. */
export function describe(error: unknown): string {
  return inspect(error, { depth: 4 });
}

/** One entry for each complaint of the compiler. */
export function complaintContent(complaints: readonly Complaint[], code: string, label: string): ErrorContent {
  const first = complaints[0] as Complaint;
  const more = complaints.length > 1 ? ` (and ${complaints.length - 1} more)` : "";
  return {
    ename: "TypeScriptError",
    evalue: `${label}, ${first.line}:${first.column}: ${first.message.split("\n")[0]}${more}`,
    traceback: complaintTexts(complaints, code, label),
  };
}

export function complaintTexts(complaints: readonly Complaint[], code: string, label: string): string[] {
  return complaints.map(({ line, column, length, code: number, message }) => {
    const name = number === 0 ? "TypeScriptError" : `TypeScriptError TS${number}`;
    return `${red(name)}: ${message}\n${label}, ${line}:${column}\n${codeFrame(code, line, column, length)}`;
  });
}

/** Two lines before and one after, with the place marked. Line and column count from 1. */
export function codeFrame(code: string, line: number, column: number, length: number): string {
  const lines = code.split("\n");
  const first = Math.max(1, line - 2);
  const last = Math.min(lines.length, line + 1);
  const width = String(last).length;
  const framed: string[] = [];
  for (let at = first; at <= last; at += 1) {
    const text = lines[at - 1] ?? "";
    const number = String(at).padStart(width);
    if (at !== line) {
      framed.push(dim(`  ${number} | ${text}`));
      continue;
    }
    const marked = Math.max(1, Math.min(length, text.length - column + 1));
    framed.push(
      `${red(">")} ${number} | ${text}`,
      `  ${" ".repeat(width)} | ${" ".repeat(column - 1)}${red("^".repeat(marked))}`,
    );
  }
  return framed.join("\n");
}
