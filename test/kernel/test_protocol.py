"""Requests and replies beside plain execution: comms, queue, history, completion, stdin, shutdown."""

import os
import time

import pytest
from conftest import within

ECHO = """
const host = (globalThis as any)[Symbol.for("tunebook.host")];
const heard: unknown[] = [];
host.onComm("echo", (comm: any, data: any) => {
  comm.send({ opened: data });
  return {
    message(data: any, buffers: Uint8Array[]) { comm.send({ echo: data, sizes: buffers.map((b) => b.byteLength) }, buffers) },
    closed() { heard.push("closed") },
  };
});
"""


def comm_message(notebook, comm_id, kind="comm_msg"):
    notebook.kept.clear()
    return lambda: notebook.until(lambda m: m["msg_type"] == kind and m["content"]["comm_id"] == comm_id)


@pytest.mark.parametrize("sizes", [[], [0], [1], [8], [1 << 20], [0, 1, 8, 1 << 20], [9 << 20]])
def test_buffers_go_both_ways_while_a_cell_awaits(notebook, sizes):
    notebook.run(ECHO)
    busy = notebook.running("console.log('started'); await new Promise((d) => setTimeout(d, 700))")
    notebook.shell("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {"a": 1}})
    opened = comm_message(notebook, "c1")()
    assert opened["content"]["data"] == {"opened": {"a": 1}}
    buffers = [os.urandom(size) for size in sizes]
    answer = comm_message(notebook, "c1")
    notebook.shell("comm_msg", {"comm_id": "c1", "data": {"n": 5}}, buffers=buffers)
    message = answer()
    assert message["content"]["data"] == {"echo": {"n": 5}, "sizes": sizes}
    assert [bytes(b) for b in message["buffers"]] == buffers
    info = notebook.ask("comm_info_request", {"target_name": "echo"})
    assert (info["status"], info["comms"]) == ("ok", {"c1": {"target_name": "echo"}})
    notebook.shell("comm_close", {"comm_id": "c1", "data": {}})
    assert notebook.ask("comm_info_request", {})["comms"] == {}
    assert notebook.finish(busy).status == "ok"
    assert notebook.run("heard").result == "[ 'closed' ]"


def test_a_comm_nobody_listens_for_is_closed(notebook):
    answer = comm_message(notebook, "nobody", "comm_close")
    notebook.shell("comm_open", {"comm_id": "nobody", "target_name": "no such target", "data": {}})
    answer()


def test_the_kernel_opens_comms_too(notebook):
    code = """
    const opened = (globalThis as any)[Symbol.for("tunebook.host")].openComm("view", { x: 1 }, {
      message(data: unknown) { console.log("view said", data) }, closed() {} }, { buffers: [new Uint8Array([7])] });
    """
    ran = notebook.run(code)
    (opened,) = [m for m in ran.messages if m["msg_type"] == "comm_open"]
    assert (opened["content"]["target_name"], opened["content"]["data"]) == ("view", {"x": 1})
    assert bytes(opened["buffers"][0]) == b"\x07"
    notebook.shell("comm_msg", {"comm_id": opened["content"]["comm_id"], "data": "hi"})
    said = notebook.until(lambda m: m["msg_type"] == "stream" and "view said" in m["content"]["text"])
    assert said["parent_header"]["msg_id"] == ran.reply["parent_header"]["msg_id"]


def test_a_message_with_a_wrong_signature_is_dropped(notebook):
    session = notebook.client.session
    key, session.key = session.key, b"another key"
    try:
        notebook.shell("comm_open", {"comm_id": "forged", "target_name": "no such target", "data": {}})
    finally:
        session.key = key
    assert notebook.run("2").result == "2"
    assert not [m for m in notebook.kept if m["content"].get("comm_id") == "forged"]


def test_stop_on_error_aborts_what_is_queued_and_nothing_later(notebook):
    first = notebook.send("await new Promise((d) => setTimeout(d, 200)); throw new Error('stop here')")
    queued = [notebook.send("console.log('queued')") for _ in range(3)]
    assert notebook.finish(first).status == "error"
    assert [notebook.finish(one).status for one in queued] == ["aborted"] * 3
    assert notebook.run("'runs'").result == "'runs'"


def test_without_stop_on_error_the_queue_goes_on(notebook):
    first = notebook.send("await null; throw new Error('go on')", stop_on_error=False)
    second = notebook.send("'ran'")
    assert notebook.finish(first).status == "error"
    assert notebook.finish(second).result == "'ran'"


def test_the_cell_after_an_error_runs_at_once(notebook):
    for _ in range(5):
        assert notebook.run("throw new Error('x')").status == "error"
        assert notebook.run("'next'").result == "'next'"


def test_nbclient_runs_the_cell_after_an_allowed_error(tmp_path):
    import nbclient
    import nbformat

    cells = ["const d = 1; display('shown')", "throw new RangeError('allowed')", "console.log('after'); d + 1"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        book, kernel_name="tunebook", allow_errors=True, timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    first, second, third = [cell.outputs for cell in book.cells]
    assert [one.output_type for one in first] == ["display_data"]
    assert (second[0].output_type, second[0].ename, second[0].evalue) == ("error", "RangeError", "allowed")
    assert (third[0].text, third[1].data["text/plain"]) == ("after\n", "2")
    assert book.metadata.language_info.file_extension == ".ts"


def test_silent_prints_nothing_and_counts_nothing(notebook):
    before = notebook.run("0").reply["content"]["execution_count"]
    ran = notebook.run("console.log('x'); globalThis.process.env.SEEN = '1'; 5", silent=True)
    assert [m["msg_type"] for m in ran.messages] == ["status", "status"]
    assert notebook.run("process.env.SEEN").reply["content"]["execution_count"] == before + 1


def test_without_store_history_nothing_is_counted_or_kept(notebook):
    before = notebook.run("'stored'").reply["content"]["execution_count"]
    ran = notebook.run("'not stored'", store_history=False)
    assert ran.result == "'not stored'"
    assert ran.reply["content"]["execution_count"] == before
    tail = notebook.ask("history_request", {"hist_access_type": "tail", "n": 1, "output": True, "raw": True})
    assert tail["history"][0][1:] == [before, ["'stored'", "'stored'"]]


def test_user_expressions_are_bundles_or_errors(notebook):
    ran = notebook.run("let shown = 4", user_expressions={"good": "shown * 2", "bad": "nowhere.x"})
    good, bad = ran.reply["content"]["user_expressions"]["good"], ran.reply["content"]["user_expressions"]["bad"]
    assert (good["status"], good["data"]["text/plain"]) == ("ok", "8")
    assert (bad["status"], bad["ename"]) == ("error", "ReferenceError")


def test_cursor_positions_count_code_points(notebook):
    code = "const s = '😀😀'; s.toUpp"
    reply = notebook.ask("complete_request", {"code": code, "cursor_pos": len(code)})
    assert reply["matches"] == ["toUpperCase"]
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "toUpp"
    code = "'😀'; parseInt"
    found = notebook.ask("inspect_request", {"code": code, "cursor_pos": len(code), "detail_level": 0})
    assert found["found"] and "parseInt(string: string" in found["data"]["text/plain"]


def test_completion_and_inspection_know_earlier_cells(notebook):
    notebook.run("/** Counts apples. */\nfunction countApples(baskets: number) { return baskets * 3 }")
    reply = notebook.ask("complete_request", {"code": "countApp", "cursor_pos": 8})
    assert reply["matches"] == ["countApples"]
    text = notebook.ask("inspect_request", {"code": "countApples(1)", "cursor_pos": 11})["data"]["text/plain"]
    assert "countApples(baskets: number): number" in text and "Counts apples." in text
    nothing = notebook.ask("inspect_request", {"code": "   ", "cursor_pos": 1})
    assert (nothing["status"], nothing["found"]) == ("ok", False)


@pytest.mark.parametrize(
    ("code", "status", "indent"),
    [
        ("1 + 1", "complete", None),
        ("for await (const x of []) {}", "complete", None),
        ("if (true) {", "incomplete", "  "),
        ("  foo(", "incomplete", "    "),
        ("`a", "incomplete", ""),
        ("let = = 3", "invalid", None),
        ("}", "invalid", None),
    ],
)
def test_is_complete(notebook, code, status, indent):
    reply = notebook.ask("is_complete_request", {"code": code})
    assert (reply["status"], reply.get("indent")) == (status, indent)


def test_input_asks_the_person_and_waits(notebook):
    msg_id = notebook.send("const name = await input('Name? '); const word = await input('Word? ', { password: true }); name + word")
    for prompt, password, value in [("Name? ", False, "Ada"), ("Word? ", True, "!")]:
        request = notebook.client.get_stdin_msg(timeout=60)
        assert request["content"] == {"prompt": prompt, "password": password}
        notebook.client.input(value)
    assert notebook.finish(msg_id).result == "'Ada!'"
    refused = notebook.run("await input('?')", allow_stdin=False)
    assert "does not take input" in refused.error["evalue"]


def test_kernel_info_tells_the_truth(notebook):
    content = notebook.control("kernel_info_request")["content"]
    assert content["protocol_version"] == "5.5"
    assert content["language_info"]["name"] == "typescript"
    assert content["language_info"]["mimetype"] == "application/typescript"
    assert "codemirror_mode" not in content["language_info"]
    assert content["language_info"]["version"] == notebook.run("import { versions } from 'tslab'; versions.typescript").result.strip("'")
    reply = notebook.control("usage_request")["content"]
    assert reply["pid"] == notebook.manager.provisioner.pid
    assert reply["kernel_memory"] > 30e6 and reply["cpu_count"] >= 1


def test_messages_carry_the_kernels_own_session(notebook):
    ran = notebook.run("1")
    sessions = {m["header"]["session"] for m in ran.messages}
    assert len(sessions) == 1
    assert sessions.isdisjoint({notebook.client.session.session})


@pytest.mark.parametrize(
    "alive",
    [
        "setInterval(() => {}, 10)",
        "import { Worker } from 'node:worker_threads'; new Worker('setInterval(() => {}, 10)', { eval: true }); 0",
        "import http from 'node:http'; http.createServer().listen(0); 0",
        "import { spawn } from 'node:child_process'; spawn('sleep', ['30'], { stdio: 'pipe' }); 0",
    ],
)
def test_shutdown_exits_whatever_is_alive(fresh, alive):
    one = fresh()
    assert one.run(alive).status == "ok"
    started = time.perf_counter()
    assert one.control("shutdown_request", {"restart": False})["content"] == {"status": "ok", "restart": False}
    process = one.manager.provisioner.process
    assert process.wait(timeout=within(2)) == 0
    assert time.perf_counter() - started < within(2)


def test_shutdown_runs_disposers_and_gives_up_slow_ones(fresh, tmp_path):
    one = fresh()
    code = f"""
    import {{ writeFileSync }} from "node:fs";
    const host = (globalThis as any)[Symbol.for("tunebook.host")];
    host.onShutdown(async () => {{ await null; writeFileSync({str(tmp_path / "done")!r}, "disposed") }});
    host.onShutdown(() => new Promise(() => {{}}));
    """
    assert one.run(code).status == "ok"
    started = time.perf_counter()
    one.control("shutdown_request", {"restart": True})
    assert one.manager.provisioner.process.wait(timeout=within(3)) == 0
    assert 0.9 < time.perf_counter() - started < within(2)
    assert (tmp_path / "done").read_text() == "disposed"


def test_shutdown_ends_a_sync_loop(fresh):
    one = fresh()
    one.running("console.log('started'); await new Promise((d) => setTimeout(d, 100)); while (true);")
    time.sleep(0.3)
    one.control("shutdown_request", {"restart": False})
    one.manager.provisioner.process.wait(timeout=within(4))


def test_restart_gives_a_clean_kernel(fresh):
    one = fresh()
    one.run("let here = 1")
    started = time.perf_counter()
    one.manager.restart_kernel()
    one.client.wait_for_ready(timeout=60)
    assert time.perf_counter() - started < within(4)
    assert one.run("here").error["ename"] == "TypeScriptError"


def test_process_exit_in_a_cell_ends_the_kernel(fresh):
    one = fresh()
    one.run("'compiler ready'")
    one.send("process.exit(3)")
    assert one.manager.provisioner.process.wait(timeout=within(8)) == 3


def test_history_survives_in_a_file(fresh, tmp_path):
    env = {"TUNEBOOK_HISTORY": str(tmp_path / "history.jsonl")}
    one = fresh(env=env)
    one.run("'first session'")
    two = fresh(env=env)
    two.run("'second session'")
    found = two.ask("history_request", {"hist_access_type": "search", "pattern": "*session*", "output": False, "raw": True})
    assert [entry[0] for entry in found["history"]] == [1, 2]
    last = two.ask("history_request", {"hist_access_type": "range", "session": -1, "output": False, "raw": True})
    assert [entry[2] for entry in last["history"]] == ["'first session'"]
