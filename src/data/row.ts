// One line of a dataset, before any token exists. Next to read: read.ts, where rows come from; tokens/template.ts, where they go.

export type Row =
  /** Plain text, every token of it trained. */
  | { readonly kind: "text"; readonly text: string }
  /** A task with its answer. `input` is what the task is about, where there is one. Prompt and response columns become this too. */
  | { readonly kind: "instruction"; readonly instruction: string; readonly input?: string; readonly output: string };

/** Data that was refused: which file and line, what was found there, what was expected. */
export class DatasetError extends Error {
  override readonly name = "DatasetError";
  constructor(
    /** The file, or "rows" for rows given as an array. */
    readonly file: string,
    problem: string,
    {
      line,
      column,
      row,
      cause,
    }: { readonly line?: number; readonly column?: number; readonly row?: number; readonly cause?: unknown } = {},
  ) {
    const place = line === undefined ? "" : column === undefined ? `:${line}` : `:${line}:${column}`;
    super(
      `${file}${place}: ${row === undefined ? "" : `row ${row}: `}${problem}`,
      cause === undefined ? {} : { cause },
    );
    this.line = line;
    this.column = column;
    this.row = row;
  }
  /** From 1. */
  readonly line: number | undefined;
  /** From 1. */
  readonly column: number | undefined;
  /** Position among the rows, from 0. */
  readonly row: number | undefined;
}
