"""Runs the code cells of a notebook in a kernel and writes, as JSON, what the kernel published for each of them.

    python record_cells.py NOTEBOOK KERNEL FOLDER RESULT

To a file: kernels inherit stdout and print there.
"""

import json
import sys

from jupyter_client.manager import start_new_kernel

notebook, kernel, folder, result = sys.argv[1:]
with open(notebook, encoding="utf-8") as file:
    cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]

manager, client = start_new_kernel(startup_timeout=150, kernel_name=kernel, cwd=folder)
recorded = []
try:
    for cell in cells:
        published = []

        def keep(message):
            published.append({"type": message["msg_type"], "content": message["content"]})

        reply = client.execute_interactive("".join(cell["source"]), timeout=150, output_hook=keep)
        recorded.append({"status": reply["content"]["status"], "published": published})
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
with open(result, "w", encoding="utf-8") as file:
    json.dump(recorded, file)
