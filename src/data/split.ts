// Rows apart for training and validation.

import { createHash } from "node:crypto";
import type { Row } from "./row.js";

export interface SplitOptions {
  /** Part of the rows kept for validation, between 0 and 1. */
  readonly validation: number;
  /** @default 42 */
  readonly seed?: number;
}

/**
 * Split rows by a hash of their content and the seed: adding or reordering rows moves none across, and equal rows stay on
 * one side. So the part is met on average, not exactly; the side that would be empty gets the rows nearest to it.
 *
 * @throws RangeError when the part is not between 0 and 1, or the rows are all equal.
 */
export function splitRows(
  rows: readonly Row[],
  { validation, seed = 42 }: SplitOptions,
): { train: Row[]; validation: Row[] } {
  if (!(validation > 0 && validation < 1))
    throw new RangeError(`expected \`validation\` to be between 0 and 1, got ${validation}`);
  const places = rows.map((row) => placeOf(row, seed));
  const least = places.reduce((a, b) => Math.min(a, b), 1);
  const most = places.reduce((a, b) => Math.max(a, b), 0);
  if (least >= most)
    throw new RangeError(`expected rows that differ, to split them: got ${rows.length} rows with one content`);
  const held = places.map((place) => place === least || (place < validation && place !== most));
  return { train: rows.filter((_, i) => !held[i]), validation: rows.filter((_, i) => held[i]) };
}

/** A number in [0, 1) that follows from the row's content alone. */
function placeOf(row: Row, seed: number): number {
  const content = row.kind === "text" ? [seed, row.text] : [seed, row.instruction, row.input ?? "", row.output];
  return createHash("sha256").update(JSON.stringify(content)).digest().readUIntBE(0, 6) / 2 ** 48;
}
