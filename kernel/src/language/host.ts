// The files and settings the language service sees: cells in memory, everything else on disk. Next: language.ts.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import ts from "typescript";
import { globalsFile, globalTypes } from "./globals.js";

export class CellHost implements ts.LanguageServiceHost {
  readonly folder: string;
  readonly #cells = new Map<string, { text: string; version: number }>();
  readonly #options: ts.CompilerOptions;
  #roots: string[] = [];
  #resolved: ts.ModuleResolutionCache;

  constructor(folder: string) {
    this.folder = folder;
    this.#options = compilerOptions(folder);
    this.#resolved = this.#createCache();
    this.write(globalsFile, globalTypes);
  }

  /** Path of a file that exists only in memory, beside the notebook. */
  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, text: string): void {
    const path = this.path(name);
    const before = this.#cells.get(path);
    if (before?.text !== text) this.#cells.set(path, { text, version: (before?.version ?? 0) + 1 });
  }

  /** The files the next program starts from. */
  setRoots(names: readonly string[]): void {
    this.#roots = [globalsFile, ...names].map((name) => this.path(name));
  }

  /** A package may have been installed since the last look. */
  forgetResolutions(): void {
    this.#resolved = this.#createCache();
  }

  getCompilationSettings(): ts.CompilerOptions {
    return this.#options;
  }

  getScriptFileNames(): string[] {
    return this.#roots;
  }

  getScriptVersion(path: string): string {
    return String(this.#cells.get(path)?.version ?? ts.sys.getModifiedTime?.(path)?.getTime() ?? 0);
  }

  getScriptSnapshot(path: string): ts.IScriptSnapshot | undefined {
    const text = this.readFile(path);
    return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
  }

  getCurrentDirectory(): string {
    return this.folder;
  }

  getDefaultLibFileName(options: ts.CompilerOptions): string {
    return ts.getDefaultLibFilePath(options);
  }

  fileExists(path: string): boolean {
    return this.#cells.has(path) || ts.sys.fileExists(path);
  }

  readFile(path: string, encoding?: string): string | undefined {
    return this.#cells.get(path)?.text ?? ts.sys.readFile(path, encoding);
  }

  directoryExists(path: string): boolean {
    return ts.sys.directoryExists(path);
  }

  getDirectories(path: string): string[] {
    return ts.sys.getDirectories(path);
  }

  readDirectory(path: string, ...rest: [string[]?, string[]?, string[]?, number?]): string[] {
    return ts.sys.readDirectory(path, ...rest);
  }

  realpath(path: string): string {
    return this.#cells.has(path) ? path : (ts.sys.realpath?.(path) ?? path);
  }

  useCaseSensitiveFileNames(): boolean {
    return ts.sys.useCaseSensitiveFileNames;
  }

  resolveModuleNameLiterals(
    literals: readonly ts.StringLiteralLike[],
    containingFile: string,
    redirected: ts.ResolvedProjectReference | undefined,
    options: ts.CompilerOptions,
    file: ts.SourceFile,
  ): readonly ts.ResolvedModuleWithFailedLookupLocations[] {
    return literals.map((literal) => {
      const mode = ts.getModeForUsageLocation(file, literal, options);
      return ts.resolveModuleName(literal.text, containingFile, options, this, this.#resolved, redirected, mode);
    });
  }

  /** Asked for by the service for each file's package.json: without it, all of them are read again for every cell. */
  getModuleResolutionCache(): ts.ModuleResolutionCache {
    return this.#resolved;
  }

  #createCache(): ts.ModuleResolutionCache {
    return ts.createModuleResolutionCache(this.folder, (name) => name, this.#options);
  }
}

function compilerOptions(folder: string): ts.CompilerOptions {
  return {
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.esnext.decorators.d.ts"],
    // Cells are ES modules; a bundler's resolution reads exports maps and takes relative imports without extension.
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    moduleDetection: ts.ModuleDetectionKind.Force,
    customConditions: ["node"],
    resolveJsonModule: true,
    allowImportingTsExtensions: true,
    esModuleInterop: true,
    strict: true,
    skipLibCheck: true,
    preserveConstEnums: true,
    sourceMap: true,
    newLine: ts.NewLineKind.LineFeed,
    types: ["node"],
    typeRoots: [nodeTypes(folder)],
  };
}

/** The notebook's own @types/node where it has one, else the kernel's: a folder without node_modules works too. */
function nodeTypes(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    const types = join(at, "node_modules", "@types");
    if (ts.sys.fileExists(join(types, "node", "package.json"))) return types;
    if (dirname(at) === at) break;
  }
  return dirname(dirname(createRequire(import.meta.url).resolve("@types/node/package.json")));
}
