"""TypeScript in cells: scope across cells, modules, types. The folder of the kernel has no node_modules of its own."""

import json
import pathlib
import time

import pytest
from conftest import within


def test_node_types_are_known_in_an_empty_folder(notebook):
    assert notebook.run("setTimeout(() => {}, 0); Buffer.from('a').byteLength + process.argv.length * 0").result == "1"
    assert notebook.run("process.nothing").error["ename"] == "TypeScriptError"


def test_a_closure_sees_what_later_cells_assign(notebook):
    notebook.run("let cnt = 0; function bump() { cnt++; return cnt }\nconst twice = () => cnt * 2;")
    assert notebook.run("cnt = 10; bump()").result == "11"
    assert notebook.run("twice()").result == "22"


def test_names_are_declared_anew_with_new_types(notebook):
    notebook.run("let v: number = 1; class C { a = 1 } ; function f() { return 1 } ; type T = number; enum E { A }; const k = 1")
    notebook.run("const old = new C()")
    again = "let v: string = 'x'; class C { b = 'y' } ; function f() { return 'z' } ; type T = string; enum E { B = 'b' }; const k = 'k'"
    assert notebook.run(again).status == "ok"
    assert notebook.run("const t: T = v + f() + new C().b + E.B + k; [t, old.a]").result == "[ 'xzybk', 1 ]"


def test_constants_stay_constant(notebook):
    notebook.run("const fixed = 1")
    assert "constant" in notebook.run("fixed = 2").error["evalue"]


def test_destructuring_shadowing_and_hoisting(notebook):
    notebook.run("const { a, b: [c, d = 4], ...rest } = { a: 1, b: [2] as number[], e: 5 };\nfor (var i = 0; i < 3; i++) {}")
    assert notebook.run("({ a, c, d, rest, i })").result == "{ a: 1, c: 2, d: 4, rest: { e: 5 }, i: 3 }"
    code = "const out = early(); function early() { return 'hoisted' }\nconst shadow = ((a: string) => a + ((i = 'in') => i)())('p'); [out, shadow, a]"
    assert notebook.run(code).result == "[ 'hoisted', 'pin', 1 ]"
    assert notebook.run("[a, c] = [7, 8] as any; 0", stop_on_error=False).error["ename"] == "TypeScriptError"
    assert notebook.run("let m = 1, n = 2; [m, n] = [n, m]; ({ m, x: n } = { m: m * 10, x: n * 10 }); [m, n]").result == "[ 20, 10 ]"


def test_a_called_variable_has_no_this(notebook):
    notebook.run("function self(this: unknown) { return this } const tag = self as (...parts: unknown[]) => unknown")
    assert notebook.run("[self(), tag`x`]").result == "[ undefined, undefined ]"


def test_functions_and_classes_keep_their_names(notebook):
    assert notebook.run("const arrow = () => 1, K = class {}; [arrow.name, K.name]").result == "[ 'arrow', 'K' ]"


def test_top_level_await_for_await_and_using(notebook):
    code = """
    const seen: number[] = [];
    for await (const x of (async function* () { yield 1; yield 2 })()) seen.push(x);
    { using held = { [Symbol.dispose]() { seen.push(99) } } }
    await Promise.resolve(seen)
    """
    assert notebook.run(code).result == "[ 1, 2, 99 ]"


def test_standard_decorators(notebook):
    code = """
    function doubled<This>(method: (this: This) => number, context: ClassMethodDecoratorContext) {
      return function (this: This) { return method.call(this) * 2 };
    }
    class Decorated { @doubled five() { return 5 } }
    new Decorated().five()
    """
    assert notebook.run(code).result == "10"


def test_generics_interfaces_and_namespaces_cross_cells(notebook):
    notebook.run("interface Box<T> { value: T }\nnamespace Shapes { export const side = 3 }\ntype Pair<A> = [A, A]")
    assert notebook.run("const box: Box<Pair<number>> = { value: [1, Shapes.side] }; box.value").result == "[ 1, 3 ]"


def test_a_name_its_cell_never_gave_a_value_is_unknown_later(notebook):
    notebook.run("const lost = await Promise.reject(new Error('no'))")
    assert "Cannot find name 'lost'" in notebook.run("lost").error["evalue"]


def test_ts_ignore_and_nocheck_are_heeded(notebook):
    assert notebook.run("// @ts-ignore\nconst loose: number = 'text'; loose").result == "'text'"
    assert notebook.run("// @ts-nocheck\nconst looser: number = 'text'; looser").result == "'text'"


def test_an_import_that_is_missing_names_the_next_move(notebook):
    assert "npm install nowhere-to-be-found" in notebook.run("import x from 'nowhere-to-be-found/sub'").error["evalue"]


@pytest.fixture
def packaged(fresh, tmp_path: pathlib.Path):
    """A folder with an ESM-only package behind an exports map, a CommonJS package, local TypeScript and JSON."""
    only = tmp_path / "node_modules" / "esm-only"
    only.mkdir(parents=True)
    manifest = {
        "name": "esm-only",
        "version": "1.0.0",
        "type": "module",
        "exports": {".": {"import": {"types": "./lib.d.ts", "default": "./lib.js"}}, "./deep": {"import": "./deep.js"}},
    }
    (only / "package.json").write_text(json.dumps(manifest))
    (only / "lib.js").write_text("export const answer = 42;\nexport default function hello() { return 'hello' }")
    (only / "lib.d.ts").write_text("export declare const answer: number;\nexport default function hello(): string;")
    (only / "deep.js").write_text("export const deep = 'untyped';")
    common = tmp_path / "node_modules" / "common"
    common.mkdir()
    (common / "package.json").write_text('{"name": "common", "version": "1.0.0", "main": "index.js"}')
    (common / "index.js").write_text("exports.odd = (n) => n % 2 === 1;")
    (tmp_path / "data.json").write_text('{"rows": [1, 2, 3]}')
    (tmp_path / "dep.ts").write_text("import { base } from './base.js';\nexport enum Kind { One = 1 }\nexport const sum = (n: number): number => n + base;")
    (tmp_path / "base.ts").write_text("export const base: number = 100;")
    return fresh()


def test_packages_json_and_local_typescript(packaged, tmp_path):
    assert packaged.run("import hello, { answer } from 'esm-only'; import { deep } from 'esm-only/deep'; [hello(), answer, deep]").result == "[ 'hello', 42, 'untyped' ]"
    assert "Property 'toFixd' does not exist on type 'number'" in packaged.run("answer.toFixd()").error["evalue"]
    assert packaged.run("(await import('esm-only')).answer").result == "42"
    assert packaged.run("import { odd } from 'common'; odd(3)").result == "true"
    assert packaged.run("import data from './data.json'; data.rows.length").result == "3"
    ran = packaged.run("import { sum, Kind } from './dep'; [sum(1), Kind.One]")
    assert ran.result == "[ 101, 1 ]"
    assert ran.text("stderr") == ""
    time.sleep(0.02)
    (tmp_path / "dep.ts").write_text("export const sum = (n: number): string => `v${n}`;")
    assert packaged.run("import { sum as again } from './dep.js'; again(2)").result == "'v2'"
    late = tmp_path / "node_modules" / "late"
    assert packaged.run("import late from 'late'; late").status == "error"
    late.mkdir()
    (late / "package.json").write_text('{"name": "late", "version": "1.0.0", "type": "module", "exports": "./index.js"}')
    (late / "index.js").write_text("export default 'installed later'")
    assert packaged.run("import late from 'late'; late").result == "'installed later'"


def test_a_missing_export_is_an_error(fresh, packaged):
    assert "has no exported member 'gone'" in packaged.run("import { gone } from 'esm-only'").error["evalue"]


def test_simple_cells_stay_fast_after_many_cells(fresh):
    one = fresh()
    one.run("0")
    for at in range(40):
        one.run(f"const c{at} = {at}; function g{at}() {{ return c{at} + {at and f'g{at - 1}()'} }}", silent=True)
    timed = sorted(one.run("c39 + 1").seconds for _ in range(9))
    assert one.run("g39()").result == str(sum(range(40)))
    assert timed[4] < within(0.25)
    assert one.ready_seconds < within(2)
    print(f"ready {one.ready_seconds:.2f} s, simple cell {timed[4] * 1000:.0f} ms")
