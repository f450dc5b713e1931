// How an error ends a command: what the library refused is said in its own words, what nobody expected with its stack.

/** Names of the errors the library throws on purpose. RangeError is what options are refused with. */
const expected = new Set([
  "AdapterError",
  "CheckpointError",
  "ConfigError",
  "DatasetError",
  "EngineError",
  "RangeError",
  "ShapeError",
  "TokenizerError",
  "TrainError",
  "UnsupportedError",
]);

/** Text for stderr. A RangeError that JavaScript itself threw, such as a stack overflow, counts as unexpected. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `tunebook: ${String(error)}`;
  if (expected.has(error.name) && !ownRangeError(error)) return `tunebook: ${error.message}`;
  if (error.name === "AbortError") return "tunebook: stopped";
  return `tunebook: unexpected error, please report it\n${error.stack ?? error.message}`;
}

/** 130 for what was stopped by Ctrl-C, as shells have it; 1 for what failed. */
export function exitCodeOf(error: unknown): number {
  return error instanceof Error && error.name === "AbortError" ? 130 : 1;
}

/** Messages of V8's own range errors. */
const v8 =
  /^(Maximum call stack|Invalid (array|string|typed array) length|Array buffer allocation|offset is out of bounds|toString\(\) radix)/;

function ownRangeError(error: Error): boolean {
  return error.name === "RangeError" && v8.test(error.message);
}
