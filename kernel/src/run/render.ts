// A value as a MIME bundle: its own picture if it has one, its text always.

import { inspect } from "node:util";
import type { MimeBundle } from "./host.js";

const displaySymbol = Symbol.for("Jupyter.display");

/**
 * At once, unless the value's own `Symbol.for("Jupyter.display")` takes its time.
 *
 * @throws whatever that function throws, and TypeError when it gives no object.
 */
export function bundleOf(value: unknown): MimeBundle | Promise<MimeBundle> {
  const show = hasMembers(value) ? (value as { [displaySymbol]?: unknown })[displaySymbol] : undefined;
  if (typeof show !== "function") return { "text/plain": textOf(value) };
  const bundle: unknown = show.call(value);
  return bundle instanceof Promise ? bundle.then((given) => complete(given, value)) : complete(bundle, value);
}

function complete(bundle: unknown, value: unknown): MimeBundle {
  if (!hasMembers(bundle)) {
    throw new TypeError(
      `Symbol.for("Jupyter.display"): expected an object from MIME type to data, got ${textOf(bundle)}`,
    );
  }
  const encoded = Object.entries(bundle).map(([type, data]) => [type, encode(data)]);
  return { "text/plain": textOf(value), ...Object.fromEntries(encoded) };
}

export function textOf(value: unknown): string {
  return inspect(value, { depth: 4, maxArrayLength: 100, maxStringLength: 10_000, breakLength: 100 });
}

const bookkeeping = /,?\s*\[Symbol\((?:async_id_symbol|trigger_async_id_symbol|kResourceStore)\)\]: \d+/g;

/** Node.js up to 22 keeps the context of a promise on the promise. It is nothing to show. */
export function tidyPromises(): void {
  Object.defineProperty(Promise.prototype, inspect.custom, {
    configurable: true,
    value(this: Promise<unknown>, depth: number, options: object) {
      if (depth < 0) return "[Promise]";
      const text = inspect(this, { ...options, depth, customInspect: false }).replace(bookkeeping, "");
      return text.replace(/^Promise \{\n\s+(.*)\n\s*\}$/, "Promise { $1 }");
    },
  });
}

/** Bytes travel as base64. */
export function encode(data: unknown): unknown {
  if (!(data instanceof Uint8Array)) return data;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
}

function hasMembers(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
