// What `import` in a cell does: packages and files as Node.js resolves them from the notebook's folder, local
// TypeScript compiled on the way (loader.ts), JSON without further words, and "tslab" from the kernel itself.

import { existsSync, statSync } from "node:fs";
import { register } from "node:module";
import { isAbsolute, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { candidates } from "./candidates.js";
import * as tslab from "./tslab.js";

type ImportOptions = { readonly with?: Record<string, string> };
type Import = (specifier: string, options?: ImportOptions) => Promise<Record<string, unknown>>;

export interface ModulesOptions {
  /** The notebook's folder. */
  readonly folder: string;
  /** Hands the language thread a port on which the loader asks for compiled modules. */
  readonly serveLoader: (port: MessagePort) => void;
}

const typescript = /\.[mc]?tsx?$/;

export class Modules {
  readonly #folder: string;
  readonly #serveLoader: (port: MessagePort) => void;
  readonly #import: Import;
  #loading = false;

  constructor({ folder, serveLoader }: ModulesOptions) {
    this.#folder = folder;
    this.#serveLoader = serveLoader;
    // A script with a path in the notebook's folder: Node.js resolves packages from there.
    this.#import = vm.runInThisContext("(specifier, options) => import(specifier, options)", {
      filename: resolve(folder, "[tunebook-import]"),
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    } as vm.RunningScriptOptions) as Import;
  }

  async import(specifier: string, options?: ImportOptions): Promise<unknown> {
    if (specifier === "tslab") return tslab;
    const path = this.#localPath(specifier);
    if (path?.endsWith(".json")) return this.#import(pathToFileURL(path).href, { with: { type: "json" }, ...options });
    if (path && typescript.test(path)) {
      this.#startLoader();
      // A changed file is a new module.
      return this.#import(`${pathToFileURL(path).href}?mtime=${statSync(path).mtimeMs}`, options);
    }
    return this.#import(path ? pathToFileURL(path).href : specifier, options);
  }

  /** Path of a file named by a relative or absolute specifier, extension added or exchanged where needed. */
  #localPath(specifier: string): string | undefined {
    const isFile = specifier.startsWith("file:");
    if (!isFile && !/^\.{1,2}(\/|$)/.test(specifier) && !isAbsolute(specifier)) return undefined;
    const path = isFile ? fileURLToPath(specifier) : resolve(this.#folder, specifier);
    return candidates(path).find((one) => existsSync(one) && statSync(one).isFile()) ?? path;
  }

  #startLoader(): void {
    if (this.#loading) return;
    this.#loading = true;
    const { port1, port2 } = new MessageChannel();
    this.#serveLoader(port1);
    register("./loader.js", import.meta.url, { data: { port: port2 }, transferList: [port2] });
  }
}

/** Copies what an import statement names into the scope. @throws SyntaxError for a name the module does not export. */
export function bindImport(
  scope: Record<string, unknown>,
  specifier: string,
  module: object,
  names: readonly (readonly [local: string, exported: string])[],
  whole: string | null,
): void {
  if (whole !== null) scope[whole] = module;
  for (const [local, exported] of names) {
    if (!(exported in module)) throw new SyntaxError(`The module "${specifier}" has no export named "${exported}".`);
    scope[local] = (module as Record<string, unknown>)[exported];
  }
}
