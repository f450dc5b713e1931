// Which identifiers of a JavaScript file mean a name of the top level, or of nothing in the file. Next: rewrite.ts.

import ts from "typescript";
import { boundNames, hoistedVars } from "./names.js";

interface Scope {
  readonly names: ReadonlySet<string>;
  readonly outer: Scope | undefined;
}

/** Called for every identifier that is used or bound as a variable and is not local to a function, class or block. */
export type Visitor = (identifier: ts.Identifier) => void;

/** Walk `node`, whose surrounding scope is the top level. */
export function visitTopLevelReferences(node: ts.Node, visitor: Visitor): void {
  visit(node, undefined, visitor);
}

function visit(node: ts.Node, scope: Scope | undefined, visitor: Visitor): void {
  if (ts.isIdentifier(node)) {
    if (isVariable(node) && !isLocal(node.text, scope)) visitor(node);
    return;
  }
  const inner = (names: Iterable<string>, ...children: (ts.Node | undefined)[]) => {
    const own = { names: new Set(names), outer: scope };
    for (const child of children) if (child) visit(child, own, visitor);
  };
  if (ts.isFunctionLike(node)) {
    const { name, parameters } = node;
    const body = (node as ts.FunctionLikeDeclaration).body;
    if (name && !ts.isIdentifier(name)) visit(name, scope, visitor);
    const block = body && ts.isBlock(body);
    const names = [
      "arguments",
      ...(ts.isFunctionExpression(node) && node.name ? [node.name.text] : []),
      ...parameters.flatMap((parameter) => boundNames(parameter.name)),
      ...(block ? [...hoistedVars(body), ...lexicalNames(body.statements)] : []),
    ];
    // The statements of the body share the scope of the parameters.
    inner(names, ...parameters, ...(block ? body.statements : [body]));
  } else if (ts.isClassLike(node)) {
    inner(node.name ? [node.name.text] : [], ...(node.heritageClauses ?? []), ...node.members);
  } else if (ts.isClassStaticBlockDeclaration(node)) {
    const { statements } = node.body;
    inner([...hoistedVars(node.body), ...lexicalNames(statements)], ...statements);
  } else if (ts.isBlock(node)) {
    inner(lexicalNames(node.statements), ...node.statements);
  } else if (ts.isCaseBlock(node)) {
    inner(
      node.clauses.flatMap((clause) => lexicalNames(clause.statements)),
      ...node.clauses,
    );
  } else if (ts.isCatchClause(node)) {
    inner(
      node.variableDeclaration ? boundNames(node.variableDeclaration.name) : [],
      node.variableDeclaration,
      node.block,
    );
  } else if (ts.isForStatement(node)) {
    inner(loopNames(node.initializer), node.initializer, node.condition, node.incrementor, node.statement);
  } else if (ts.isForInStatement(node) || ts.isForOfStatement(node)) {
    inner(loopNames(node.initializer), node.initializer, node.expression, node.statement);
  } else {
    ts.forEachChild(node, (child) => visit(child, scope, visitor));
  }
}

function isLocal(name: string, scope: Scope | undefined): boolean {
  for (let at = scope; at; at = at.outer) if (at.names.has(name)) return true;
  return false;
}

function lexicalNames(statements: readonly ts.Statement[]): string[] {
  return statements.flatMap((statement) => {
    if (ts.isVariableStatement(statement)) return loopNames(statement.declarationList);
    const named = ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement);
    return named && statement.name ? [statement.name.text] : [];
  });
}

function loopNames(list: ts.Node | undefined): string[] {
  if (!list || !ts.isVariableDeclarationList(list) || !(list.flags & ts.NodeFlags.BlockScoped)) return [];
  return list.declarations.flatMap(({ name }) => boundNames(name));
}

/** False for property names, labels and the like, and for the names of functions and classes, which stay as they are. */
function isVariable(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)) {
    return parent.name !== node;
  }
  if (ts.isFunctionLike(parent) || ts.isClassLike(parent)) return parent.name !== node;
  if (ts.isBindingElement(parent)) return parent.propertyName !== node;
  return !(
    ts.isLabeledStatement(parent) ||
    ts.isBreakOrContinueStatement(parent) ||
    ts.isMetaProperty(parent) ||
    ts.isImportAttribute(parent)
  );
}
