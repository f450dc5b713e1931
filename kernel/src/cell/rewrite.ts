// A cell's JavaScript as a function over the scope that all cells share: every top-level name becomes a property of
// `__scope`, so that a closure sees what a later cell assigns. Next to read: language/language.ts, which calls this.

import ts from "typescript";
import { applyEdits, type Edit, sortEdits } from "./edits.js";
import { cellPath } from "./links.js";
import { boundNames, hoistedVars } from "./names.js";
import { visitTopLevelReferences } from "./references.js";

export interface Rewritten {
  /** An expression: `async (__tunebook, __scope) => { ... }`. */
  readonly code: string;
  /** From the given JavaScript to `code`, sorted. */
  readonly edits: readonly Edit[];
}

/**
 * @param code - A cell after TypeScript's own emit: an ES module without types.
 * @param known - Names that earlier cells put into the scope.
 */
export function rewriteCell(code: string, known: ReadonlySet<string>): Rewritten {
  const file = ts.createSourceFile("cell.js", code, ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS);
  const rewriter = new Rewriter(file, known);
  const edits = sortEdits(rewriter.rewrite());
  return { code: applyEdits(code, edits), edits };
}

class Rewriter {
  readonly #file: ts.SourceFile;
  readonly #shared: Set<string>;
  readonly #edits: Edit[] = [];
  #hoisted = "";

  constructor(file: ts.SourceFile, known: ReadonlySet<string>) {
    this.#file = file;
    this.#shared = new Set([...known, ...file.statements.flatMap(declaredNames)]);
  }

  rewrite(): Edit[] {
    for (const statement of this.#file.statements) {
      if (ts.isImportDeclaration(statement)) this.#import(statement);
      else if (ts.isExportDeclaration(statement)) this.#replace(statement.getStart(), statement.end, "");
      else this.#statement(statement);
    }
    const head = `(async (__tunebook, __scope) => { "use strict"; ${this.#hoisted}\n`;
    return [
      { start: 0, end: 0, text: head },
      ...this.#edits,
      { start: this.#file.end, end: this.#file.end, text: "\n})" },
    ];
  }

  #statement(statement: ts.Statement): void {
    if (ts.isFunctionDeclaration(statement) && statement.name) {
      this.#dropModifiers(statement, [ts.SyntaxKind.ExportKeyword]);
      this.#hoisted += `__scope.${statement.name.text} = ${statement.name.text}; `;
    } else if (ts.isClassDeclaration(statement) && statement.name) {
      this.#dropModifiers(statement, [ts.SyntaxKind.ExportKeyword]);
      this.#insert(statement.getStart(), `__scope.${statement.name.text} = `);
    }
    this.#node(statement);
    if (ts.isClassDeclaration(statement)) this.#insert(statement.end, ";");
    visitTopLevelReferences(statement, (identifier) => {
      if (this.#shared.has(identifier.text)) this.#reference(identifier);
    });
  }

  /** What needs a look whatever scope it is in: declarations of the cell, `await`, `import()`, `import.meta`. */
  #node(node: ts.Node, inFunction = false): void {
    if (ts.isVariableDeclarationList(node) && !inFunction && isCellWide(node)) {
      this.#declarations(node);
      return;
    }
    if (ts.isAwaitExpression(node)) this.#insert(node.getStart(), "__tunebook.resumed(");
    if (ts.isForOfStatement(node) && node.awaitModifier && ts.isBlock(node.statement)) {
      this.#insert(node.statement.getStart() + 1, " __tunebook.check();");
    }
    if (node.kind === ts.SyntaxKind.ImportKeyword) this.#replace(node.getStart(), node.end, "__tunebook.import");
    if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) {
      this.#replace(node.getStart(), node.end, "__tunebook.meta");
    }
    const inner = inFunction || ts.isFunctionLike(node) || ts.isClassStaticBlockDeclaration(node);
    ts.forEachChild(node, (child) => this.#node(child, inner));
    if (ts.isAwaitExpression(node)) this.#insert(node.end, ")");
  }

  /** `const a = 1, { b } = c;` becomes `(__scope.a = 1, { b: __scope.b } = c);` */
  #declarations(list: ts.VariableDeclarationList): void {
    const { parent, declarations } = list;
    const first = declarations[0] as ts.VariableDeclaration;
    const isStatement = ts.isVariableStatement(parent);
    this.#replace(isStatement ? parent.getStart() : list.getStart(), first.getStart(), isStatement ? "(" : "");
    for (const { name, initializer } of declarations) {
      this.#node(name);
      if (initializer) this.#initializer(name, initializer);
      // A declaration alone starts at undefined in every cell that runs it; inside a block, `var x` changes nothing.
      else if (isStatement && parent.parent === this.#file) this.#insert(name.end, " = undefined");
    }
    if (isStatement) this.#insert(list.end, ")");
  }

  /** An assignment to a property names no function, an object literal does. */
  #initializer(name: ts.BindingName, initializer: ts.Expression): void {
    const anonymous =
      ts.isArrowFunction(initializer) ||
      ((ts.isFunctionExpression(initializer) || ts.isClassExpression(initializer)) && !initializer.name);
    const named = anonymous && ts.isIdentifier(name) && name.text !== "__proto__";
    if (named) this.#insert(initializer.getStart(), `({ ${name.text}: `);
    this.#node(initializer);
    if (named) this.#insert(initializer.end, ` }).${name.text}`);
  }

  #reference(identifier: ts.Identifier): void {
    const { parent, text } = identifier;
    const shorthand =
      ts.isShorthandPropertyAssignment(parent) ||
      (ts.isBindingElement(parent) &&
        !parent.propertyName &&
        !parent.dotDotDotToken &&
        ts.isObjectBindingPattern(parent.parent));
    const called =
      (ts.isCallExpression(parent) && parent.expression === identifier) ||
      (ts.isTaggedTemplateExpression(parent) && parent.tag === identifier);
    const isName = !shorthand || (parent as ts.ShorthandPropertyAssignment | ts.BindingElement).name === identifier;
    // `(0, f)()` keeps `this` undefined in the call, as it is for a variable.
    if (called) {
      const text = `(0, __scope.${identifier.text})`;
      this.#edits.push({ start: identifier.getStart(), end: identifier.end, text, leadsBack: true });
    } else {
      const key = shorthand && isName ? `${text}: ` : "";
      this.#replace(identifier.getStart(), identifier.end, `${key}__scope.${text}`);
    }
  }

  #import(statement: ts.ImportDeclaration): void {
    const specifier = (statement.moduleSpecifier as ts.StringLiteral).text;
    this.#replace(
      statement.getStart(),
      statement.end,
      cellPath.test(specifier) ? "" : this.#importCall(statement, specifier),
    );
  }

  #importCall({ importClause, attributes }: ts.ImportDeclaration, specifier: string): string {
    const module = JSON.stringify(specifier);
    const options = attributes ? `, { with: ${attributes.getText().replace(/^with\s*/, "")} }` : "";
    const load = `__tunebook.resumed(await __tunebook.import(${module}${options}))`;
    const bindings = importClause?.namedBindings;
    const names: [string, string][] = importClause?.name ? [[importClause.name.text, "default"]] : [];
    if (bindings && ts.isNamedImports(bindings)) {
      for (const { name, propertyName } of bindings.elements) names.push([name.text, (propertyName ?? name).text]);
    }
    const whole = bindings && ts.isNamespaceImport(bindings) ? bindings.name.text : null;
    return `__tunebook.bind(${module}, ${load}, ${JSON.stringify(names)}, ${JSON.stringify(whole)});`;
  }

  #dropModifiers(statement: ts.FunctionDeclaration | ts.ClassDeclaration, kinds: readonly ts.SyntaxKind[]): void {
    for (const modifier of ts.getModifiers(statement) ?? []) {
      if (kinds.includes(modifier.kind)) this.#replace(modifier.getStart(), modifier.end, "");
    }
  }

  #insert(at: number, text: string): void {
    this.#edits.push({ start: at, end: at, text });
  }

  #replace(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text });
  }
}

/** `let`, `const` and `class` of the top level, and every `var` that is in no function. */
function isCellWide(list: ts.VariableDeclarationList): boolean {
  if (!(list.flags & ts.NodeFlags.BlockScoped)) return true;
  return ts.isVariableStatement(list.parent) && ts.isSourceFile(list.parent.parent);
}

function declaredNames(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => boundNames(name));
  }
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
    return statement.name ? [statement.name.text] : [];
  }
  if (ts.isImportDeclaration(statement)) {
    const { name, namedBindings } = statement.importClause ?? {};
    const elements = namedBindings
      ? ts.isNamespaceImport(namedBindings)
        ? [namedBindings]
        : namedBindings.elements
      : [];
    return [...(name ? [name.text] : []), ...elements.map((element) => element.name.text)];
  }
  return hoistedVars(statement);
}
