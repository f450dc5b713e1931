// Module hooks, in a thread of Node.js's own: local TypeScript files are compiled by the language thread as they load.
// Registered by modules.ts when a cell first imports one.

import { existsSync, readFileSync, statSync } from "node:fs";
import type { InitializeHook, LoadHook, ResolveHook } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { MessagePort } from "node:worker_threads";
import type { LanguageMethods } from "../language/methods.js";
import { type Caller, createCaller } from "../wire/rpc.js";
import { candidates } from "./candidates.js";

let language: Caller<LanguageMethods>;

export const initialize: InitializeHook<{ port: MessagePort }> = ({ port }) => {
  language = createCaller<LanguageMethods>(port);
};

export const resolve: ResolveHook = (specifier, context, next) => {
  const fromFile = context.parentURL?.startsWith("file:") && !context.parentURL.includes("/node_modules/");
  if (fromFile && /^\.{1,2}\//.test(specifier)) {
    const path = fileURLToPath(new URL(specifier, context.parentURL));
    const found = candidates(path).find((one) => existsSync(one) && statSync(one).isFile());
    if (found && /\.[mc]?ts$/.test(found)) {
      return { url: `${pathToFileURL(found).href}?mtime=${statSync(found).mtimeMs}`, shortCircuit: true };
    }
    if (found && found !== path) return next(pathToFileURL(found).href, context);
  }
  return next(specifier, context);
};

export const load: LoadHook = async (url, context, next) => {
  const path = url.startsWith("file:") ? fileURLToPath(url.replace(/\?.*$/, "")) : "";
  if (!/\.m?ts$/.test(path) || url.includes("/node_modules/")) return next(url, context);
  const source = await language.call("transpile", { path, code: readFileSync(path, "utf8") });
  return { format: "module", source, shortCircuit: true };
};
