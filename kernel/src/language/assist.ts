// Completion, inspection and "is this cell complete?" from the language service. Positions on the wire count code
// points, TypeScript counts UTF-16 units.

import ts from "typescript";
import { type Language, syntaxComplaints } from "./language.js";
import type { CodeAndCursor, Completeness, Completions, Inspection } from "./methods.js";

const wordBefore = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*$/u;

export function complete(language: Language, { code, cursor_pos }: CodeAndCursor): Completions {
  const position = toUnits(code, cursor_pos);
  const path = language.draft(code);
  const typed = wordBefore.exec(code.slice(0, position))?.[0] ?? "";
  const info = language.service.getCompletionsAtPosition(path, position, { includeCompletionsWithInsertText: false });
  const span = info?.optionalReplacementSpan;
  const start = span ? span.start : position - typed.length;
  const prefix = code.slice(start, position).toLowerCase();
  const entries = (info?.entries ?? [])
    .filter(({ name }) => name.toLowerCase().startsWith(prefix) && !name.startsWith("__tunebook"))
    .sort((a, b) => compare(a.sortText, b.sortText) || compare(a.name, b.name));
  const cursor_start = toPoints(code, start);
  return {
    matches: entries.map(({ name }) => name),
    cursor_start,
    cursor_end: cursor_pos,
    metadata: {
      _jupyter_types_experimental: entries.map(({ name, kind }) => ({
        start: cursor_start,
        end: cursor_pos,
        text: name,
        type: kind,
      })),
    },
  };
}

export function inspect(
  language: Language,
  { code, cursor_pos, detail_level = 0 }: CodeAndCursor & { detail_level?: number },
): Inspection {
  const position = toUnits(code, cursor_pos);
  const path = language.draft(code);
  const { service } = language;
  // The cursor stands after the name, or inside the brackets of a call.
  const info =
    service.getQuickInfoAtPosition(path, position) ?? service.getQuickInfoAtPosition(path, Math.max(0, position - 1));
  const signature = info ? undefined : service.getSignatureHelpItems(path, position, {})?.items[0];
  const head = info
    ? ts.displayPartsToString(info.displayParts)
    : signature &&
      ts.displayPartsToString(signature.prefixDisplayParts) +
        signature.parameters
          .map(({ displayParts }) => ts.displayPartsToString(displayParts))
          .join(ts.displayPartsToString(signature.separatorDisplayParts)) +
        ts.displayPartsToString(signature.suffixDisplayParts);
  if (!head) return { found: false, data: {}, metadata: {} };
  const text = head.replace(/import\("[^"]*tunebook-cell-\d+(\.ts)?"\)\./g, "");
  const about = ts.displayPartsToString((info ?? signature)?.documentation);
  const tags = detail_level > 0 ? ((info ?? signature)?.tags ?? []) : [];
  const notes = tags.map(({ name, text: parts }) => `@${name} ${ts.displayPartsToString(parts)}`);
  const prose = [about, ...notes].filter((part) => part !== "").join("\n\n");
  return {
    found: true,
    data: {
      "text/plain": prose ? `${text}\n\n${prose}` : text,
      "text/markdown": `\`\`\`typescript\n${text}\n\`\`\`${prose ? `\n\n${prose}` : ""}`,
    },
    metadata: {},
  };
}

/** Incomplete when all that is wrong is wrong at the end, as a next line could mend it. */
export function isComplete(code: string): Completeness {
  const complaints = syntaxComplaints(code);
  if (complaints.length === 0) return { status: "complete" };
  const { length } = code.trimEnd();
  const lines = code.slice(0, length).split("\n");
  const atEnd = ({ line, column }: { line: number; column: number }) =>
    line > lines.length || (line === lines.length && column > (lines.at(-1)?.length ?? 0));
  const unterminated = (one: { code: number }) => one.code === 1160 || one.code === 1010; // template, comment
  if (!complaints.every((one) => atEnd(one) || unterminated(one))) return { status: "invalid" };
  const last = lines.at(-1) ?? "";
  const indent = /^\s*/.exec(last)?.[0] ?? "";
  return { status: "incomplete", indent: /[{([]\s*$/.test(last) ? `${indent}  ` : indent };
}

function toUnits(code: string, points: number): number {
  let units = 0;
  let left = points;
  for (const character of code) {
    if (left <= 0) break;
    units += character.length;
    left -= 1;
  }
  return units;
}

function toPoints(code: string, units: number): number {
  return [...code.slice(0, units)].length;
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
