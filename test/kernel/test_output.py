"""Output: floods, late output, displays, results, errors. Numbers are counted by the client."""

import pytest


@pytest.mark.parametrize("count", [500, 900, 5000, 20000])
def test_every_print_of_a_loop_arrives_and_so_does_idle(notebook, count):
    ran = notebook.run(f"for (let i = 0; i < {count}; i++) console.log(i)")
    assert ran.status == "ok"
    assert ran.text() == "".join(f"{i}\n" for i in range(count))
    assert len(ran.of("stream")) < 200  # the server drops above 1000 messages a second


def test_a_loop_that_keeps_the_thread_is_heard_while_it_runs(notebook):
    msg_id = notebook.running(
        "console.log('started'); let end = Date.now() + 1500; while (Date.now() < end) {}; console.log('x')",
    )
    # Nothing lets go of the thread after `started`, yet the second print flushes by the clock before idle.
    assert notebook.finish(msg_id).text() == "started\nx\n"


def test_streams_keep_their_order(notebook):
    ran = notebook.run("console.log('a'); console.error('b'); process.stdout.write('c'); display('d'); console.log('e')")
    kinds = [(m["msg_type"], m["content"].get("name")) for m in ran.messages]
    assert kinds[2:-1] == [
        ("stream", "stdout"),
        ("stream", "stderr"),
        ("stream", "stdout"),
        ("display_data", None),
        ("stream", "stdout"),
    ]


def test_late_output_goes_to_the_cell_that_started_it(notebook):
    first = notebook.run("setTimeout(() => console.log('late timer'), 300); void (async () => { await null; })();")
    second = notebook.run("await new Promise((done) => setTimeout(done, 600)); console.log('second')")
    late = notebook.until(lambda m: m["msg_type"] == "stream" and "late timer" in m["content"]["text"])
    assert late["parent_header"]["msg_id"] == first.reply["parent_header"]["msg_id"]
    assert second.text() == "second\n"


def test_output_of_a_worker_goes_to_the_cell_that_started_it(notebook):
    code = """
    import { Worker } from "node:worker_threads";
    const worker = new Worker("setTimeout(() => console.log('from worker'), 200)", { eval: true });
    """
    first = notebook.run(code)
    notebook.run("await new Promise((done) => setTimeout(done, 800))")
    late = notebook.until(lambda m: m["msg_type"] == "stream" and "from worker" in m["content"]["text"])
    assert late["parent_header"]["msg_id"] == first.reply["parent_header"]["msg_id"]


def test_a_rejection_nobody_awaits_is_told_in_its_own_cell_and_the_kernel_lives(notebook):
    first = notebook.run("setTimeout(() => { Promise.reject(new Error('left alone')) }, 200)")
    notebook.run("await new Promise((done) => setTimeout(done, 500))")
    late = notebook.until(lambda m: m["msg_type"] == "stream" and "left alone" in m["content"]["text"])
    assert late["content"]["name"] == "stderr"
    assert late["parent_header"]["msg_id"] == first.reply["parent_header"]["msg_id"]
    assert "1:35" in late["content"]["text"]
    thrown = notebook.run("setTimeout(() => { throw new Error('from a timer') }, 100)")
    late = notebook.until(lambda m: m["msg_type"] == "stream" and "from a timer" in m["content"]["text"])
    assert late["parent_header"]["msg_id"] == thrown.reply["parent_header"]["msg_id"]
    assert notebook.run("1 + 1").result == "2"


def test_a_display_is_updated_in_place(notebook):
    code = """
    const host = (globalThis as any)[Symbol.for("tunebook.host")];
    host.display({ "text/plain": "one" }, { displayId: "d1", metadata: { "text/plain": { alt: "x" } } });
    host.display({ "text/plain": "two" }, { displayId: "d1", update: true });
    """
    ran = notebook.run(code)
    (shown,) = ran.of("display_data")
    (updated,) = ran.of("update_display_data")
    assert shown["transient"] == updated["transient"] == {"display_id": "d1"}
    assert (shown["data"], updated["data"]) == ({"text/plain": "one"}, {"text/plain": "two"})
    assert shown["metadata"] == {"text/plain": {"alt": "x"}}


def test_tslab_displays_work_and_redraw(notebook):
    code = """
    import * as tslab from "tslab";
    const slot = tslab.newDisplay();
    slot.html("<b>1</b>"); slot.html("<b>2</b>");
    tslab.display.png(new Uint8Array([1, 2, 3]));
    """
    ran = notebook.run(code)
    first, png = ran.of("display_data")
    (second,) = ran.of("update_display_data")
    assert first["data"] == {"text/html": "<b>1</b>"}
    assert second["data"] == {"text/html": "<b>2</b>"}
    assert first["transient"]["display_id"] == second["transient"]["display_id"]
    assert png["data"] == {"image/png": "AQID"}


@pytest.mark.parametrize("kind", ["own", "prototype", "async"])
def test_a_value_shows_its_own_bundle(notebook, kind):
    code = {
        "own": "({ [Symbol.for('Jupyter.display')]() { return { 'text/html': '<i>v</i>' } } })",
        "prototype": "class V { [Symbol.for('Jupyter.display')]() { return { 'text/html': '<i>v</i>' } } }\nnew V()",
        "async": "({ async [Symbol.for('Jupyter.display')]() { await null; return { 'text/html': '<i>v</i>' } } })",
    }[kind]
    (result,) = notebook.run(code).of("execute_result")
    assert result["data"]["text/html"] == "<i>v</i>"
    assert "text/plain" in result["data"]


def test_an_error_names_cell_line_and_column_and_no_kernel_frames(notebook):
    notebook.run("function deep(x: number) {\n\n  throw new RangeError(`bad ${x}`);\n}")
    defined = notebook.run("0").reply["content"]["execution_count"] - 1
    ran = notebook.run("type Unused = { a: 1 };\n\nawait null;\n    deep(7)")
    error, reply = ran.error, ran.reply["content"]
    count = reply["execution_count"]
    assert (error["ename"], error["evalue"]) == ("RangeError", "bad 7")
    assert (reply["status"], reply["ename"], reply["evalue"]) == ("error", "RangeError", "bad 7")
    text = "\n".join(error["traceback"])
    assert f"at deep (Cell [{defined}], 3:9)" in text
    assert f"at Cell [{count}], 4:5" in text
    assert "kernel/dist" not in text and "node:internal" not in text and "tunebook" not in text


def test_a_thrown_string_is_an_error_too(notebook):
    error = notebook.run("throw 'just text'").error
    assert (error["ename"], error["evalue"]) == ("Thrown", "'just text'")


def test_causes_and_printed_stacks_name_places_in_cells_too(notebook):
    ran = notebook.run("const inner = new TypeError('inner');\nthrow new Error('outer', { cause: inner })")
    count = ran.reply["content"]["execution_count"]
    text = "\n".join(ran.error["traceback"])
    assert f"at Cell [{count}], 2:7" in text and f"at Cell [{count}], 1:15" in text and "[cause]: TypeError: inner" in text
    printed = notebook.run("\nconsole.log(new Error('seen').stack)")
    count = printed.reply["content"]["execution_count"]
    assert printed.text() == f"Error: seen\n    at Cell [{count}], 2:13\n"


def test_a_promise_as_result_is_shown_not_awaited(notebook):
    assert notebook.run("new Promise(() => {})").result == "Promise { <pending> }"
    assert notebook.run("[Promise.resolve({ a: 1 })]").result == "[ Promise { { a: 1 } } ]"


def test_type_errors_stop_the_cell_and_name_the_place(notebook):
    ran = notebook.run("console.log('not printed');\nconst n: number = 'text';")
    error = ran.error
    assert error["ename"] == "TypeScriptError"
    assert "2:7: Type 'string' is not assignable to type 'number'." in error["evalue"]
    assert "^" in error["traceback"][0]
    assert ran.text() == ""


def test_typecheck_warn_shows_complaints_and_runs_off_only_runs(fresh):
    code = "const n: number = 'text';\nn"
    warned = fresh(env={"TUNEBOOK_TYPECHECK": "warn"}).run(code)
    assert warned.result == "'text'"
    assert "TS2322" in warned.text("stderr")
    off = fresh(env={"TUNEBOOK_TYPECHECK": "off"}).run(code)
    assert (off.result, off.text("stderr")) == ("'text'", "")
