// How the type checker sees the notebook: each cell is a module in the notebook's folder, and a few lines after its
// code export its names and declare those of earlier cells. Positions in the code stay what they are. Next: rewrite.ts.

import type { CellNames, NameKind } from "./names.js";

export interface Known {
  /** The cell that declared the name last. */
  readonly cell: number;
  readonly kind: NameKind;
}

export const cellFile = (cell: number) => `tunebook-cell-${cell}.ts`;

/** Matches the module path of a cell, as it stands in imports and in messages of the checker. */
export const cellPath = /tunebook-cell-\d+(?:\.ts)?/;

/**
 * Lines to append to a cell.
 *
 * @param known - What earlier cells declared; names the cell declares itself are left out.
 */
export function linkLines({ names, exported }: CellNames, known: ReadonlyMap<string, Known>): string {
  const own = [...names.keys()].filter((name) => !exported.has(name));
  const lines = [`export { ${own.join(", ")} };`];
  for (const [name, { cell, kind }] of known) {
    if (names.has(name)) continue;
    const path = JSON.stringify(`./${cellFile(cell)}`);
    if (kind === "variable") lines.push(`declare let ${name}: typeof import(${path}).${name};`);
    else if (kind === "constant") lines.push(`declare const ${name}: typeof import(${path}).${name};`);
    else if (kind === "type") lines.push(`import type { ${name} } from ${path};`);
    else lines.push(`import { ${name} } from ${path};`);
  }
  return `\n${lines.join("\n")}\n`;
}

/** The known names that occur as words in `code`, so that a cell is checked against no more cells than it may need. */
export function mentioned(code: string, known: ReadonlyMap<string, Known>): Map<string, Known> {
  const found = new Map<string, Known>();
  for (const [word] of code.matchAll(/[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/gu)) {
    const entry = known.get(word);
    if (entry) found.set(word, entry);
  }
  return found;
}
