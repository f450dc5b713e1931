// Replacements in a text, and the way back from a position in the new text to one in the old.

export interface Edit {
  /** Offsets in the old text. Equal for an insertion. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** The place right after the new text leads back to `start`: V8 puts a call of `(0, f)()` at its last bracket. */
  readonly leadsBack?: boolean;
}

/** Edits at the same offset are kept in the order they were added. They must not overlap. */
export function sortEdits(edits: readonly Edit[]): Edit[] {
  return [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
}

export function applyEdits(text: string, sorted: readonly Edit[]): string {
  let result = "";
  let at = 0;
  for (const { start, end, text: inserted } of sorted) {
    result += text.slice(at, start) + inserted;
    at = end;
  }
  return result + text.slice(at);
}

/** Offset in the old text of `offset` in the new one. Inside an insertion: the place of the insertion. */
export function undoOffset(offset: number, sorted: readonly Edit[]): number {
  let shift = 0; // new minus old
  for (const { start, end, text, leadsBack = false } of sorted) {
    if (offset < start + shift) break;
    if (offset < start + shift + text.length + (leadsBack ? 1 : 0)) return start;
    shift += text.length - (end - start);
  }
  return offset - shift;
}

export function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** Zero-based line and column of an offset. */
export function lineAndColumn(offset: number, lineStarts: readonly number[]): { line: number; column: number } {
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (lineStarts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low, column: offset - lineStarts[low]! };
}
