// What the quickstart hears while a notebook runs without a browser. Any kernel will do: this one is Python's, which .venv has.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "..", "..");
const python = path.join(root, ".venv", "bin", "python");

interface Told {
  readonly kind: string;
  readonly [field: string]: unknown;
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tunebook-notebook-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Write a notebook of these cells and run it. */
function run(...cells: string[]): Promise<{ code: number | null; told: Told[] }> {
  const notebook = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: "python3", display_name: "Python", language: "python" } },
    cells: cells.map((source, i) => ({
      ...{ cell_type: "code", id: `c${i}`, metadata: {}, source },
      ...{ outputs: [], execution_count: null },
    })),
  };
  const file = path.join(folder, "book.ipynb");
  writeFileSync(file, JSON.stringify(notebook));
  return new Promise((resolve, reject) => {
    const script = path.join(root, "setup", "notebook.py");
    const child = spawn(python, [script, file, path.join(folder, "out")], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({
        code,
        told: output
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as Told),
      });
    });
  });
}

/** A cell that shows a run's output and redraws it, as the library does. */
const showing = `
from IPython.display import publish_display_data
def show(update, changed):
    state = {"runId": "r1", "update": update}
    bundle = {"application/vnd.tunebook.run.v1+json": {"state": state}, "image/svg+xml": "<svg aria-label='the loss'></svg>", "text/plain": "a run"}
    publish_display_data(bundle, transient={"display_id": "d"}, update=changed)
show(0, False)
show(7, True)
print("shown")`;

describe.skipIf(!existsSync(python))(
  "setup/notebook.py (skipped without .venv: npm run build)",
  { timeout: 120_000 },
  () => {
    test("tells of cells, runs and prints as they come, and leaves notebook and page with the last picture", async () => {
      const { code, told } = await run("# first\nx = 1", showing);
      expect(told.map(({ kind }) => kind)).toEqual(["notebook", "cell", "cell", "run", "run", "stream", "written"]);
      expect(told[0]).toMatchObject({ cells: 2, kernel: "python3" });
      expect(told[1]).toMatchObject({ number: 1, of: 2, first: "# first" });
      expect(told.filter(({ kind }) => kind === "run").map(({ state }) => state)).toEqual([
        { runId: "r1", update: 0 },
        { runId: "r1", update: 7 },
      ]);
      expect(told[5]).toMatchObject({ name: "stdout", text: "shown\n" });
      const picture = Buffer.from("<svg aria-label='the loss'></svg>").toString("base64");
      expect(readFileSync(told[6]?.html as string, "utf8")).toContain(`src="data:image/svg+xml;base64,${picture}"`);
      const executed = JSON.parse(readFileSync(told[6]?.notebook as string, "utf8"));
      expect(executed.cells[1].outputs[0].data["application/vnd.tunebook.run.v1+json"].state.update).toBe(7);
      expect(code).toBe(0);
    });

    test("a cell that fails is named with its traceback, what follows is not run, and the notebook is left all the same", async () => {
      const { code, told } = await run("x = 1", "raise ValueError('the loss is NaN')", "print('never')");
      expect(told.map(({ kind }) => kind)).toEqual(["notebook", "cell", "cell", "failed", "written"]);
      expect(told[3]).toMatchObject({ number: 2 });
      expect(told[3]?.traceback).toMatch(/^-+\nValueError +Traceback[\s\S]*ValueError: the loss is NaN$/);
      expect(existsSync(told[4]?.notebook as string)).toBe(true);
      expect(code).toBe(1);
    });
  },
);
