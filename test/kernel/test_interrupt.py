"""Stop: whatever the cell does, it ends, its work ends, the state stays and the next cell runs."""

import time

import pytest
from conftest import within

LONG = {
    "await": "console.log('started'); await new Promise((done) => setTimeout(done, 60_000))",
    "awaited loop": "console.log('started'); while (true) { await new Promise((d) => setTimeout(d, 5)); ticks++ }",
    "sync loop": "console.log('started'); await new Promise((d) => setTimeout(d, 100)); while (true) ticks++",
    "sync loop before any await": "process.stdout.write('started'.padEnd(70_000)); while (true) ticks++",
    "microtasks": "console.log('started'); await new Promise((d) => setTimeout(d, 100)); while (true) await null",
    "regex": "console.log('started'); await new Promise((d) => setTimeout(d, 100)); /^(a+)+$/.test('a'.repeat(40) + 'b')",
    "Atomics.wait": "console.log('started'); await new Promise((d) => setTimeout(d, 100));"
    " Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    "function of another cell": "console.log('started'); await endless()",
}


@pytest.mark.parametrize("kind", LONG)
def test_stop_ends_the_cell_and_keeps_the_state(notebook, kind):
    notebook.run("let ticks = 0; const kept = 'kept';\nasync function endless() { for (;;) { await new Promise((d) => setTimeout(d, 5)); ticks++ } }")
    msg_id = notebook.running(LONG[kind])
    time.sleep(0.3)
    started = time.perf_counter()
    notebook.manager.interrupt_kernel()
    ran = notebook.finish(msg_id)
    assert time.perf_counter() - started < within(3)
    assert ran.error["ename"] == "Interrupted"
    assert ran.status == "error"
    before = notebook.run("ticks").result
    time.sleep(0.2)
    after = notebook.run("function cl1() { return 1 }; [ticks, kept, cl1()]").result
    assert after == f"[ {before}, 'kept', 1 ]"  # nothing counts on in the background
    assert notebook.run("await new Promise((d) => setTimeout(d, 20)); 'timers live'").result == "'timers live'"


def test_the_signal_of_the_cell_is_raised_so_work_can_end_itself(notebook):
    code = """
    const signal = (globalThis as any)[Symbol.for("tunebook.host")].cellSignal() as AbortSignal;
    signal.addEventListener("abort", () => console.log("aborted:", signal.reason.name));
    console.log("started");
    await new Promise<void>((done) => signal.addEventListener("abort", () => done()));
    """
    msg_id = notebook.running(code)
    started = time.perf_counter()
    notebook.manager.interrupt_kernel()
    ran = notebook.finish(msg_id)
    assert time.perf_counter() - started < within(0.25)  # well before the kernel would give the cell up
    assert "aborted: Interrupted" in ran.text()
    assert ran.error["ename"] == "Interrupted"


def test_stop_while_idle_does_nothing(notebook):
    # The reply is awaited: control and shell are two sockets, and a later cell must not overtake the request.
    assert notebook.control("interrupt_request")["content"]["status"] == "ok"
    assert notebook.run("1 + 1").result == "2"


def test_stop_aborts_the_cells_behind(notebook):
    first = notebook.running("console.log('started'); await new Promise((done) => setTimeout(done, 60_000))")
    second = notebook.send("console.log('must not run')")
    time.sleep(0.1)
    notebook.manager.interrupt_kernel()
    assert notebook.finish(first).status == "error"
    ran = notebook.finish(second)
    assert ran.status == "aborted"
    assert ran.text() == ""


def test_sigint_stops_an_awaiting_cell_and_a_loop_before_the_first_await(notebook):
    import os
    import signal

    for code in [LONG["await"], "process.stdout.write('started'.padEnd(70_000)); while (true);"]:
        msg_id = notebook.running(code)
        os.kill(notebook.manager.provisioner.pid, signal.SIGINT)
        assert notebook.finish(msg_id).error["ename"] == "Interrupted"


def test_the_heartbeat_beats_during_a_sync_loop(notebook):
    import zmq

    connection = notebook.manager.get_connection_info()
    socket = zmq.Context.instance().socket(zmq.REQ)
    socket.linger = 0
    socket.connect(f"tcp://{connection['ip']}:{connection['hb_port']}")
    msg_id = notebook.running("console.log('started'); const until = Date.now() + 5000; await null; while (Date.now() < until);")
    worst = 0.0
    for _ in range(20):
        started = time.perf_counter()
        socket.send(b"beat")
        assert socket.poll(20_000)
        assert socket.recv() == b"beat"
        worst = max(worst, time.perf_counter() - started)
        time.sleep(0.1)
    socket.close()
    assert worst < within(0.1)
    # Completion and info are answered in the same loop.
    assert "process" in notebook.ask("complete_request", {"code": "proces", "cursor_pos": 6})["matches"]
    assert notebook.control("kernel_info_request")["content"]["status"] == "ok"
    assert notebook.finish(msg_id).status == "ok"
