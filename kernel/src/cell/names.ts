// The names a cell declares at its top level, and how later cells may refer to them. Next: links.ts.

import ts from "typescript";

/**
 * How a name of an earlier cell is declared to a later one: `variable` may be assigned, `constant` may not, `value`
 * has or may have a type meaning too (class, enum, function, import), `type` and `ambient` have nothing at run time.
 */
export type NameKind = "variable" | "constant" | "value" | "type" | "ambient";

export interface CellNames {
  readonly names: ReadonlyMap<string, NameKind>;
  /** Those that already carry an `export` of their own. */
  readonly exported: ReadonlySet<string>;
}

export function namesOf(file: ts.SourceFile): CellNames {
  const names = new Map<string, NameKind>();
  const exported = new Set<string>();
  const add = (name: string, kind: NameKind) => names.set(name, merge(names.get(name), kind));

  for (const statement of file.statements) {
    const before = new Set(names.keys());
    declare(statement, add);
    if (has(statement, ts.SyntaxKind.ExportKeyword)) {
      for (const name of declaredBy(statement)) exported.add(name);
    } else if (
      ts.isExportDeclaration(statement) &&
      statement.exportClause &&
      ts.isNamedExports(statement.exportClause)
    ) {
      for (const { name } of statement.exportClause.elements) exported.add(name.text);
    }
    if (!ts.isVariableStatement(statement))
      for (const name of hoistedVars(statement)) if (!before.has(name)) add(name, "variable");
  }
  return { names, exported };
}

function declaredBy(statement: ts.Statement): string[] {
  const found: string[] = [];
  declare(statement, (name) => found.push(name));
  return found;
}

function declare(statement: ts.Statement, add: (name: string, kind: NameKind) => void): void {
  const ambient = has(statement, ts.SyntaxKind.DeclareKeyword);
  if (ts.isVariableStatement(statement)) {
    const { declarationList } = statement;
    const kind = ambient ? "ambient" : declarationList.flags & ts.NodeFlags.Const ? "constant" : "variable";
    // `using` frees its value at the end of the cell: nothing is left for later cells.
    const using = (declarationList.flags & ts.NodeFlags.Using) === ts.NodeFlags.Using;
    if (!using)
      for (const { name } of declarationList.declarations) for (const bound of boundNames(name)) add(bound, kind);
  } else if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isEnumDeclaration(statement)
  ) {
    if (statement.name) add(statement.name.text, ambient ? "ambient" : "value");
  } else if (ts.isModuleDeclaration(statement)) {
    const global = (statement.flags & ts.NodeFlags.GlobalAugmentation) !== 0;
    if (ts.isIdentifier(statement.name) && !global) add(statement.name.text, ambient ? "ambient" : "value");
  } else if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) {
    add(statement.name.text, "type");
  } else if (ts.isImportDeclaration(statement)) {
    for (const name of importedNames(statement)) add(name, "value");
  }
}

function importedNames({ importClause }: ts.ImportDeclaration): string[] {
  if (!importClause) return [];
  const { name, namedBindings } = importClause;
  const first = name ? [name.text] : [];
  if (!namedBindings) return first;
  if (ts.isNamespaceImport(namedBindings)) return [...first, namedBindings.name.text];
  return [...first, ...namedBindings.elements.map((element) => element.name.text)];
}

/** Identifiers of a name or a destructuring pattern. */
export function boundNames(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : boundNames(element.name)));
}

/** `var` declarations inside `node`, functions and classes left out: they belong to the enclosing function or cell. */
export function hoistedVars(node: ts.Node): string[] {
  const found: string[] = [];
  const visit = (child: ts.Node): void => {
    if (ts.isFunctionLike(child) || ts.isClassLike(child) || ts.isModuleDeclaration(child)) return;
    if (ts.isVariableDeclarationList(child) && !(child.flags & ts.NodeFlags.BlockScoped)) {
      for (const { name } of child.declarations) found.push(...boundNames(name));
    }
    ts.forEachChild(child, visit);
  };
  visit(node);
  return found;
}

function has(statement: ts.Statement, kind: ts.SyntaxKind): boolean {
  return ts.canHaveModifiers(statement) && (ts.getModifiers(statement)?.some((one) => one.kind === kind) ?? false);
}

/** Two declarations of one name in one cell: a type beside a value is imported with both meanings. */
function merge(first: NameKind | undefined, second: NameKind): NameKind {
  if (first === undefined || first === second) return second;
  if (first === "variable" || second === "variable") return "variable";
  return "value";
}
