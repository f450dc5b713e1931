"""Training inside the kernel: Stop ends a run within a second, the event loop stays free meanwhile, and the next cell trains again."""

import pathlib
import time

import pytest
from conftest import ROOT, Notebook, within

SETUP = """
import { attachLora, loadModel, rows, train } from "tunebook";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const tutor = await loadModel("models/tiny-tutor", { device: "cpu" });
const model = await attachLora(tutor, { rank: 4 });
const lesson = await rows("data/zh.jsonl");
const options = { data: lesson, template: "alpaca_short", batchSize: 8, learningRate: 1e-3 } as const;
const folder = () => join(mkdtempSync(join(tmpdir(), "run-")), "run");
"""

ENDLESS = """
const run = train(model, { ...options, maxSteps: 100_000, outputFolder: folder() });
for await (const event of run) if (event.kind === "updated" && event.update === 3) console.log("started");
"""


@pytest.fixture(scope="module")
def tutorial():
    opened = Notebook(str(pathlib.Path(ROOT) / "notebooks"))
    ran = opened.run(SETUP, timeout=within(60))
    assert ran.status == "ok", ran.messages
    yield opened
    opened.close()


def test_stop_ends_a_run_within_a_second_and_the_next_cell_trains_again(tutorial):
    cell = tutorial.running(ENDLESS)
    started = time.perf_counter()
    tutorial.manager.interrupt_kernel()
    ran = tutorial.finish(cell)
    assert ran.error["ename"] == "Interrupted"
    ended = tutorial.run("const ended = await run.finished; [ended.reason, run.events.at(-1)!.kind]", timeout=within(30))
    assert time.perf_counter() - started < within(1)
    assert ended.result == "[ 'aborted', 'stopped' ]"

    again = tutorial.run(
        "const next = train(model, { ...options, maxSteps: 3, outputFolder: folder() });\n"
        "const result = await next.finished; [result.reason, result.updates]",
        timeout=within(60),
    )
    assert again.result == "[ 'finished', 3 ]", again.messages


def test_a_second_run_holds_no_more_memory_than_the_first(tutorial):
    code = (
        "const before = tutor.device.allocated();\n"
        "await train(model, { ...options, maxSteps: 2, outputFolder: folder() }).finished;\n"
        "JSON.stringify(before) === JSON.stringify(tutor.device.allocated())"
    )
    assert tutorial.run(code, timeout=within(60)).result == "true"


def test_what_the_run_does_is_seen_while_its_cell_is_awaited(tutorial):
    """A message to the kernel is answered between two updates, not after the cell."""
    cell = tutorial.running(ENDLESS)
    waits = []
    for _ in range(5):
        started = time.perf_counter()
        tutorial.ask("comm_info_request", {})
        waits.append(time.perf_counter() - started)
    tutorial.manager.interrupt_kernel()
    tutorial.finish(cell)
    tutorial.run("await run.finished", timeout=within(30))
    assert sorted(waits)[2] < within(0.1)
