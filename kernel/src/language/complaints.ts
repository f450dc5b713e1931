// TypeScript's diagnostics as complaints about a cell: which count, and where they point.

import ts from "typescript";
import { lineAndColumn, lineStartsOf } from "../cell/edits.js";
import { cellPath } from "../cell/links.js";
import type { Complaint } from "./methods.js";

/** Missing annotations (TS70xx) are no mistake in a notebook; strictness is kept on for the inference it brings. */
const isAboutAnnotations = (code: number) => code >= 7005 && code <= 7057 && code !== 7027 && code !== 7029;

export function complaintsOf(diagnostics: readonly ts.Diagnostic[], code: string): Complaint[] {
  const lineStarts = lineStartsOf(code);
  return diagnostics
    .filter((one) => one.category === ts.DiagnosticCategory.Error && !isAboutAnnotations(one.code))
    .map((one) => {
      // What the compiler misses after the last line is a complaint about the end of the cell.
      const start = Math.min(one.start ?? 0, code.trimEnd().length);
      const { line, column } = lineAndColumn(start, lineStarts);
      const length = Math.max(1, Math.min(one.length ?? 1, code.length - start));
      return { line: line + 1, column: column + 1, length, code: one.code, message: messageOf(one) };
    });
}

const importOfCell = new RegExp(`import\\("[^"]*${cellPath.source}"\\)\\.`, "g");

function messageOf(diagnostic: ts.Diagnostic): string {
  const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n").replace(importOfCell, "");
  const missing = diagnostic.code === 2307 ? /^Cannot find module '([^'.][^']*)'/.exec(text)?.[1] : undefined;
  if (missing === undefined) return text;
  const name = missing
    .split("/")
    .slice(0, missing.startsWith("@") ? 2 : 1)
    .join("/");
  return `${text} Is it installed? In the notebook's folder: npm install ${name}`;
}
