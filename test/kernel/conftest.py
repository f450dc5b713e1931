"""Installs the kernelspec into a temporary prefix and drives the kernel with a real jupyter_client."""

import os
import pathlib
import queue
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = tempfile.mkdtemp(prefix="tunebook-kernelspec-")
subprocess.run(["node", str(ROOT / "kernel/dist/cli.js"), "install", "--prefix", PREFIX], check=True)
os.environ["JUPYTER_PATH"] = str(pathlib.Path(PREFIX) / "share" / "jupyter")

from jupyter_client.manager import KernelManager  # noqa: E402  JUPYTER_PATH comes first


def within(seconds: float) -> float:
    """A time limit that holds where a processor is free; a crowded machine gets as much more as it is crowded."""
    return seconds * max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))


def pytest_sessionfinish() -> None:
    shutil.rmtree(PREFIX, ignore_errors=True)


@dataclass
class Ran:
    """One request: its reply and the iopub messages that name it as their parent, in order."""

    reply: dict
    messages: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def status(self) -> str:
        return self.reply["content"]["status"]

    def of(self, kind: str) -> list:
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    def text(self, name: str = "stdout") -> str:
        return "".join(c["text"] for c in self.of("stream") if c["name"] == name)

    @property
    def result(self):
        results = self.of("execute_result")
        return results[0]["data"]["text/plain"] if results else None

    @property
    def error(self) -> dict:
        (error,) = self.of("error")
        return error


class Notebook:
    """A kernel and a client. Messages read while waiting for others are kept."""

    def __init__(self, cwd: str, env: dict | None = None):
        self.manager = KernelManager(kernel_name="tunebook")
        started = time.perf_counter()
        self.manager.start_kernel(cwd=cwd, env={**os.environ, **(env or {})})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.ready_seconds = time.perf_counter() - started
        self.kept: list = []
        self.replies: dict = {}

    def send(self, code: str, **options) -> str:
        return self.client.execute(code, **options)

    def iopub(self, timeout: float = 60) -> dict:
        message = self.client.get_iopub_msg(timeout=timeout)
        self.kept.append(message)
        return message

    def of_parent(self, msg_id: str) -> list:
        return [m for m in self.kept if m["parent_header"].get("msg_id") == msg_id]

    def until(self, found, timeout: float = 60) -> dict:
        """Read iopub until `found(message)`; looks at kept messages first."""
        for message in self.kept:
            if found(message):
                return message
        end = time.perf_counter() + timeout
        while True:
            try:
                message = self.iopub(max(0.01, end - time.perf_counter()))
            except queue.Empty:
                raise AssertionError(f"no such message within {timeout} s; kept: {summary(self.kept)}") from None
            if found(message):
                return message

    def finish(self, msg_id: str, timeout: float = 60) -> Ran:
        started = time.perf_counter()
        reply = self.reply(msg_id, timeout)
        self.until(
            lambda m: m["parent_header"].get("msg_id") == msg_id
            and m["msg_type"] == "status"
            and m["content"]["execution_state"] == "idle",
            timeout,
        )
        return Ran(reply, self.of_parent(msg_id), time.perf_counter() - started)

    def run(self, code: str, timeout: float = 60, **options) -> Ran:
        started = time.perf_counter()
        ran = self.finish(self.send(code, **options), timeout)
        ran.seconds = time.perf_counter() - started
        return ran

    def running(self, code: str, marker: str = "started") -> str:
        """Send a cell and wait until it has printed `marker`."""
        msg_id = self.send(code)
        self.until(lambda m: m["msg_type"] == "stream" and marker in m["content"]["text"] and parent(m) == msg_id)
        return msg_id

    def control(self, kind: str, content: dict | None = None, timeout: float = 60) -> dict:
        message = self.client.session.msg(kind, content or {})
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply

    def shell(self, kind: str, content: dict, buffers=None) -> str:
        message = self.client.session.msg(kind, content)
        self.client.session.send(self.client.shell_channel.socket, message, buffers=buffers)
        return message["header"]["msg_id"]

    def ask(self, kind: str, content: dict, timeout: float = 60) -> dict:
        """Content of the reply to a request on shell."""
        return self.reply(self.shell(kind, content), timeout)["content"]

    def reply(self, msg_id: str, timeout: float) -> dict:
        """Replies to other requests that come first are kept for them."""
        while msg_id not in self.replies:
            reply = self.client.get_shell_msg(timeout=timeout)
            self.replies[parent(reply)] = reply
        return self.replies.pop(msg_id)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def parent(message: dict) -> str | None:
    return message["parent_header"].get("msg_id")


def summary(messages: list) -> list:
    return [(m["msg_type"], str(m["content"])[:80]) for m in messages[-12:]]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """One kernel for the tests of a module, in a folder without node_modules."""
    opened = Notebook(str(tmp_path_factory.mktemp("notebook")))
    yield opened
    opened.close()


@pytest.fixture
def fresh(tmp_path):
    """Opens kernels of their own: `fresh()`, `fresh(env={...})`."""
    opened = []

    def start(env: dict | None = None) -> Notebook:
        opened.append(Notebook(str(tmp_path), env))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
