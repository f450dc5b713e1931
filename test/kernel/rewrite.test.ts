// The cell compiler without a kernel: what it makes is run by Node.js itself and the values compared.

import vm from "node:vm";
import { describe, expect, test } from "vitest";
import { applyEdits, lineAndColumn, lineStartsOf, sortEdits, undoOffset } from "../../kernel/src/cell/edits.js";
import { rewriteCell } from "../../kernel/src/cell/rewrite.js";
import { Language } from "../../kernel/src/language/language.js";
import { CellPlaces } from "../../kernel/src/run/places.js";

interface Notebook {
  readonly scope: Record<string, unknown>;
  /** Resolves to the result of the cell. */
  run(code: string): Promise<unknown>;
}

function notebook(): Notebook {
  const scope: Record<string, unknown> = {};
  return {
    scope,
    async run(code) {
      const rewritten = rewriteCell(code, new Set(Object.keys(scope)));
      const cell = { resumed: (value: unknown) => value, check: () => undefined, result: undefined };
      await (vm.runInThisContext(rewritten.code) as (cell: object, scope: object) => Promise<void>)(cell, scope);
      return cell.result;
    },
  };
}

const result = (expression: string) => `__tunebook.result = (${expression});`;

describe("names of the top level live in the shared scope", () => {
  test.each([
    ["let, const, var", "let a = 1, b; const c = a + 1; var d = c + 1;", { a: 1, b: undefined, c: 2, d: 3 }],
    [
      "patterns",
      "const { x, y: { z = 5 }, ...r } = { x: 1, y: {}, q: 2 }; const [h, , ...t] = [1, 2, 3];",
      { x: 1, z: 5, r: { q: 2 }, h: 1, t: [3] },
    ],
    [
      "var in blocks and loops",
      "for (var i = 0; i < 2; i++) { var inner = i; } for (var k in { p: 1 }) {}",
      { i: 2, inner: 1, k: "p" },
    ],
    [
      "loop variables stay local",
      "let sum = 0; for (let i = 0; i < 3; i++) sum += i; for (const n of [10]) sum += n;",
      { sum: 13 },
    ],
    ["shadowing", "let s = 1; { let s = 2; s++; } const f = (s) => s * 2; const g = f(21);", { s: 1, g: 42 }],
    [
      "catch and class names",
      "let e = 'kept'; try { throw 1 } catch (e) { e++ } class P { static same() { return P } } const same = P.same() === P;",
      { e: "kept", same: true },
    ],
    [
      "property names and labels",
      "let p = 1; const o = { p: 2, q: p, p2: { p } }; p: for (;;) break p; const v = o.p + o.p2.p;",
      { v: 3, o: { p: 2, q: 1, p2: { p: 1 } } },
    ],
    ["compound assignment", "let n = 1; n += 2; n++; let m; m ??= n; [n, m] = [m, n + 1];", { n: 4, m: 5 }],
    ["switch scope", "let w = 0; switch (1) { case 1: let w2 = 5; w = w2; }", { w: 5 }],
  ])("%s", async (_, code, expected) => {
    const cells = notebook();
    await cells.run(code);
    expect(cells.scope).toMatchObject(expected);
  });

  test("functions are hoisted, keep no `this`, and see what later cells assign", async () => {
    const cells = notebook();
    await cells.run(
      "const early = who(); let count = 0; function who() { return this } function bump() { return ++count }",
    );
    expect(cells.scope.early).toBe(undefined);
    expect(await cells.run(`count = 10; ${result("bump()")}`)).toBe(11);
    expect(await cells.run(`count = 20; function bump2() { return bump() } ${result("bump2()")}`)).toBe(21);
  });

  test("an awaited value goes through `resumed`, whatever surrounds it", async () => {
    const cells = notebook();
    expect(
      await cells.run(
        `const p = async (x) => x; ${result("[await p(1) + await p(2), (await p([3]))[0], await p('4')]")}`,
      ),
    ).toEqual([3, 3, "4"]);
  });

  test("functions and classes without a name get that of their variable", async () => {
    const cells = notebook();
    await cells.run("const f = () => 1, g = async function () {}, K = class {}; let named = function own() {};");
    const { f, g, K, named } = cells.scope as Record<string, () => void>;
    expect([f, g, K, named].map((one) => one?.name)).toEqual(["f", "g", "K", "own"]);
  });
});

describe("places", () => {
  test("an offset in the new text leads back to the old text", () => {
    const edits = sortEdits([
      { start: 4, end: 7, text: "<longer>" },
      { start: 0, end: 0, text: "head" },
      { start: 9, end: 9, text: "!" },
    ]);
    const text = applyEdits("abc.def.ghi", edits);
    expect(text).toBe("headabc.<longer>.g!hi");
    expect([4, 6, 8, 15, 17, 18, 19].map((offset) => undoOffset(offset, edits))).toEqual([0, 2, 4, 4, 8, 9, 9]);
  });

  test("line and column of an offset", () => {
    const starts = lineStartsOf("ab\n\ncde");
    expect([0, 2, 3, 4, 6].map((offset) => lineAndColumn(offset, starts))).toEqual([
      { line: 0, column: 0 },
      { line: 0, column: 2 },
      { line: 1, column: 0 },
      { line: 2, column: 0 },
      { line: 2, column: 2 },
    ]);
  });

  test.each([
    ["interface A { a: number }\n\nlet v: A | undefined;\nthrow new Error('x')", 4, 7],
    ["function f(\n  n: number,\n): never { throw new Error(String(n)) }\nf(1)", 3, 18],
    ["const { a } = { a: 1 } as { a: number };\n  await Promise.resolve(a); null!.x", 2, 35],
  ])(
    "the place of an error in %j is %i:%i",
    async (code, line, column) => {
      const language = new Language(process.cwd());
      const compiled = language.compile({ cell: 1, code, typecheck: "off", keep: true });
      if (compiled.kind !== "compiled") throw new Error("refused");
      const places = new CellPlaces("/folder");
      places.add(1, "Cell [1]", code, compiled.code, compiled.positions);
      const run = vm.runInThisContext(compiled.code, { filename: places.fileOf(1) }) as (
        cell: object,
        scope: object,
      ) => Promise<void>;
      const error = await run({ resumed: (value: unknown) => value }, {}).catch((thrown: Error) => thrown);
      const frame = (error as Error).stack?.split("\n").find((one) => one.includes("tunebook-cell")) ?? "";
      expect(places.mapLine(frame)?.place).toEqual({ cell: 1, line, column });
    },
    30_000,
  );
});

describe("what the language says", () => {
  const language = new Language(process.cwd());
  const compile = (cell: number, code: string) => language.compile({ cell, code, typecheck: "error", keep: true });

  test("types are kept from cell to cell, and a redeclared name has its new type", () => {
    expect(compile(1, "let x = 1; interface I<T> { v: T }").kind).toBe("compiled");
    expect(compile(2, "const i: I<number> = { v: x };").kind).toBe("compiled");
    expect(compile(3, "let x = 'text'").kind).toBe("compiled");
    expect(compile(4, "const n: number = x")).toMatchObject({
      kind: "refused",
      complaints: [
        { line: 1, column: 7, length: 1, code: 2322, message: "Type 'string' is not assignable to type 'number'." },
      ],
    });
  }, 30_000);

  test("syntax errors are complaints even when types are not checked", () => {
    const refused = language.compile({ cell: 5, code: "let = = 2", typecheck: "off", keep: true });
    expect(refused.kind).toBe("refused");
  });

  test("a default export is refused with the reason", () => {
    expect(compile(6, "1;\nexport default 5")).toMatchObject({
      kind: "refused",
      complaints: [{ line: 2, column: 1, message: expect.stringContaining("no default export") }],
    });
  });

  test("an annotation left out is no complaint", () => {
    expect(compile(7, "function f(a, b) { return a[b] }\nlet later; later = 1;").kind).toBe("compiled");
  });
});
