// TypeScript for a notebook: checks and compiles cells, and knows what earlier cells declared.
// Completion and inspection are in assist.ts; the thread this runs in is thread.ts.

import ts from "typescript";
import { lineStartsOf } from "../cell/edits.js";
import { cellFile, type Known, linkLines, mentioned } from "../cell/links.js";
import { namesOf } from "../cell/names.js";
import { rewriteCell } from "../cell/rewrite.js";
import { complaintsOf } from "./complaints.js";
import { CellHost } from "./host.js";
import type { Compiled, CompileParams, Complaint } from "./methods.js";

export const draftFile = "tunebook-draft.ts";

export class Language {
  readonly host: CellHost;
  readonly service: ts.LanguageService;
  readonly #known = new Map<string, Known>();
  /** Cells with `declare global` or `declare module` act on all later ones. */
  readonly #augmenting: string[] = [];

  /** @param folder - The notebook's folder: imports are resolved from here. */
  constructor(folder: string) {
    this.host = new CellHost(folder);
    this.service = ts.createLanguageService(this.host);
  }

  compile({ cell, code, typecheck, keep }: CompileParams): Compiled {
    const broken = syntaxComplaints(code);
    if (broken.length > 0) return { kind: "refused", complaints: broken };

    const name = cellFile(cell);
    const { names, unsupported } = this.#write(name, code, mentioned(code, this.#known));
    if (unsupported) return { kind: "refused", complaints: [unsupported] };
    const complaints = typecheck === "off" ? [] : this.#check(name, code);
    if (typecheck === "error" && complaints.length > 0) return { kind: "refused", complaints };

    const { output, map } = this.#emit(name, code.length);
    const shared = [...this.#known].filter(([, { kind }]) => kind !== "type" && kind !== "ambient").map(([one]) => one);
    const { code: rewritten, edits } = rewriteCell(output, new Set(shared));
    const atRunTime = [...names].filter(([, kind]) => kind !== "type" && kind !== "ambient").map(([one]) => one);
    if (keep) {
      for (const [one, kind] of names) this.#known.set(one, { cell, kind });
      if (/\bdeclare\s+(global|module)\b/.test(code)) this.#augmenting.push(name);
    }
    const positions = { edits, lineStarts: lineStartsOf(output), map };
    return { kind: "compiled", code: rewritten, positions, complaints, names: atRunTime };
  }

  forget(names: readonly string[]): void {
    for (const name of names) this.#known.delete(name);
  }

  /** Put unfinished code where the service can look at it, with every known name in reach. */
  draft(code: string): string {
    this.#write(draftFile, code, this.#known);
    return this.host.path(draftFile);
  }

  #write(file: string, code: string, known: ReadonlyMap<string, Known>) {
    const source = ts.createSourceFile(file, code, ts.ScriptTarget.ES2022, false, ts.ScriptKind.TS);
    const found = namesOf(source);
    this.host.write(file, code + linkLines(found, known));
    this.host.setRoots([...this.#augmenting, file]);
    return { names: found.names, unsupported: unsupportedExport(source, code) };
  }

  #check(name: string, code: string): Complaint[] {
    const path = this.host.path(name);
    let found = this.service.getSemanticDiagnostics(path);
    if (found.some((one) => one.code === 2307)) {
      // Perhaps installed a moment ago: look at the disk again.
      this.host.forgetResolutions();
      this.host.write(name, `${this.host.readFile(path)} `);
      found = this.service.getSemanticDiagnostics(path);
    }
    return complaintsOf(
      found.filter((one) => (one.start ?? 0) < code.length),
      code,
    );
  }

  #emit(name: string, codeLength: number): { output: string; map: string } {
    const program = this.service.getProgram();
    const source = program?.getSourceFile(this.host.path(name));
    if (!program || !source) throw new Error(`${name}: the language service does not know the cell it was given`);
    let output = "";
    let map = "";
    const write = (path: string, text: string) => {
      if (path.endsWith(".map")) map = text;
      else output = text.replace(/\/\/# sourceMappingURL=.*\s*$/, "");
    };
    program.emit(source, write, undefined, false, { before: [keepResult(codeLength)] });
    return { output, map };
  }
}

export function syntaxComplaints(code: string): Complaint[] {
  const { diagnostics = [] } = ts.transpileModule(code, {
    reportDiagnostics: true,
    fileName: draftFile,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      moduleDetection: ts.ModuleDetectionKind.Force,
    },
  });
  return complaintsOf(diagnostics, code);
}

/** The value of the last statement, when that is an expression, is the result of the cell. */
function keepResult(codeLength: number): ts.TransformerFactory<ts.SourceFile> {
  return ({ factory }) =>
    (file) => {
      const own = file.statements.filter((statement) => statement.getStart(file) < codeLength);
      const last = own.at(-1);
      if (!last || !ts.isExpressionStatement(last)) return file;
      const target = factory.createPropertyAccessExpression(factory.createIdentifier("__tunebook"), "result");
      const kept = factory.createExpressionStatement(factory.createAssignment(target, last.expression));
      ts.setOriginalNode(kept, last);
      ts.setTextRange(kept, last);
      const statements = file.statements.map((statement) => (statement === last ? kept : statement));
      return factory.updateSourceFile(file, statements);
    };
}

function unsupportedExport(source: ts.SourceFile, code: string): Complaint | undefined {
  const statement = source.statements.find(
    (one) =>
      ts.isExportAssignment(one) ||
      (ts.isExportDeclaration(one) && one.moduleSpecifier !== undefined) ||
      (ts.canHaveModifiers(one) && ts.getModifiers(one)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)),
  );
  if (!statement) return undefined;
  const start = statement.getStart(source);
  const { line, character } = source.getLineAndCharacterOfPosition(start);
  const message =
    "A cell has no default export and exports nothing from elsewhere: later cells see its names as they are.";
  const length = Math.min(statement.end - start, code.length - start);
  return { line: line + 1, column: character + 1, length, code: 0, message };
}
