// A value as a MIME bundle: its own picture if it has one, its text always.

import { inspect } from "node:util";
import type { MimeBundle } from "./host.js";

const displaySymbol = Symbol.for("Jupyter.display");

/** @throws whatever the value's own `Symbol.for("Jupyter.display")` throws. */
export async function bundleOf(value: unknown): Promise<MimeBundle> {
  const show = hasMembers(value) ? (value as { [displaySymbol]?: unknown })[displaySymbol] : undefined;
  if (typeof show !== "function") return { "text/plain": textOf(value) };
  const bundle: unknown = await show.call(value);
  if (!hasMembers(bundle)) {
    throw new TypeError(
      `Symbol.for("Jupyter.display"): expected an object from MIME type to data, got ${textOf(bundle)}`,
    );
  }
  const encoded = Object.entries(bundle as object).map(([type, data]) => [type, encode(data)]);
  return { "text/plain": textOf(value), ...Object.fromEntries(encoded) };
}

export function textOf(value: unknown): string {
  return inspect(value, { depth: 4, maxArrayLength: 100, maxStringLength: 10_000, breakLength: 100 });
}

/** Bytes travel as base64. */
export function encode(data: unknown): unknown {
  if (!(data instanceof Uint8Array)) return data;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
}

function hasMembers(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
