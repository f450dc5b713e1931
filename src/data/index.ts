// Files in, typed rows out, or an error that says where in the file.

export type { Columns } from "./columns.js";
export { type ReadOptions, readRows, rows } from "./read.js";
export { DatasetError, type Row } from "./row.js";
export { type SplitOptions, splitRows } from "./split.js";
