"""Execute a notebook without a browser and tell what happens, one JSON object a line on stdout; read by quickstart.mjs.

    .venv/bin/python setup/notebook.py NOTEBOOK OUTPUT_FOLDER

    {"kind": "notebook", "cells", "kernel"}           once, before the first cell
    {"kind": "cell", "number", "of", "first"}         a code cell starts; first is its first line
    {"kind": "run", "state"}                          a run's output was shown or redrawn; state is its RunState
    {"kind": "stream", "name", "text"}                a cell printed
    {"kind": "failed", "number", "traceback"}         a cell ended with an error; nothing is run after it
    {"kind": "written", "notebook", "html"}           always last: the executed notebook, whether it failed or not

Exit code 0 when every cell ran, 1 when one failed.
"""

import json
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

RUN_MIME = "application/vnd.tunebook.run.v1+json"
CELL_SECONDS = 600
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def tell(kind, **fields):
    print(json.dumps({"kind": kind, **fields}), flush=True)


class TellingClient(NotebookClient):
    """A client that passes on what cells show while they run."""

    def process_message(self, msg, cell, cell_index):
        content = msg["content"]
        if msg["msg_type"] in ("display_data", "update_display_data") and RUN_MIME in content.get("data", {}):
            tell("run", state=content["data"][RUN_MIME]["state"])
        elif msg["msg_type"] == "stream":
            tell("stream", name=content["name"], text=content["text"])
        return super().process_message(msg, cell, cell_index)


def main(source, folder):
    source, folder = Path(source), Path(folder)
    notebook = nbformat.read(source, as_version=4)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    numbers = {index: number for number, index in enumerate(code, 1)}

    started = []

    def cell_starts(cell, cell_index):
        if cell_index in numbers:
            started.append(numbers[cell_index])
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            tell("cell", number=numbers[cell_index], of=len(code), first=first)

    client = TellingClient(
        notebook,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(source.parent)}},
        on_cell_start=cell_starts,
    )
    tell("notebook", cells=len(code), kernel=notebook.metadata.get("kernelspec", {}).get("name", ""))
    good = False
    try:
        client.execute()
        good = True
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        tracebacks = ["\n".join(output.traceback) for output in outputs if output.output_type == "error"]
        tell("failed", number=started[-1] if started else 0, traceback=ANSI.sub("", tracebacks[-1] if tracebacks else str(error)))
    finally:
        folder.mkdir(parents=True, exist_ok=True)
        executed, page = folder / source.name, folder / f"{source.stem}.html"
        nbformat.write(notebook, executed)
        html, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": source.stem}})
        page.write_text(html, encoding="utf-8")
        tell("written", notebook=str(executed), html=str(page))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
