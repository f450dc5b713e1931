// The stock tslab kernel itself, driven by jupyter_client: the library's picture updates in place there, without controls.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const python = join(root, ".venv", "bin", "python");
const lacks = [
  [python, "no .venv"],
  [join(root, "dist", "widgets", "index.js"), "the library is not built"],
  [join(root, "node_modules", "tslab"), "tslab is not installed"],
].find(([path]) => !existsSync(path!))?.[1];

interface Published {
  readonly type: string;
  readonly content: {
    readonly data?: Readonly<Record<string, string>>;
    readonly transient?: { readonly display_id?: string };
    readonly text?: string;
  };
}

describe.skipIf(lacks !== undefined)(`tslab${lacks === undefined ? "" : ` (${lacks})`}`, () => {
  let folder = "";
  let cells: { status: string; published: Published[] }[] = [];

  beforeAll(async () => {
    // below the checkout, so that a cell's import finds the package as a user's does
    mkdirSync(join(root, "artifacts"), { recursive: true });
    folder = mkdtempSync(join(root, "artifacts", "tslab-"));
    const spec = join(folder, "kernels", "tslab");
    mkdirSync(spec, { recursive: true });
    const argv = [
      process.execPath,
      join(root, "node_modules", "tslab", "bin", "tslab"),
      "kernel",
      "--config-path={connection_file}",
    ];
    writeFileSync(join(spec, "kernel.json"), JSON.stringify({ argv, display_name: "tslab", language: "typescript" }));
    const notebook = join(folder, "run.ipynb");
    const fixture = readFileSync(join(root, "test", "extension", "fixtures", "run.ipynb"), "utf8");
    writeFileSync(notebook, fixture.replace('\\"RUN\\", 3000', '\\"in-tslab\\", 30'));
    const result = join(folder, "result.json");
    await promisify(execFile)(
      python,
      [join(root, "test", "widgets", "record_cells.py"), notebook, "tslab", folder, result],
      { env: { ...process.env, JUPYTER_PATH: folder } },
    );
    cells = JSON.parse(readFileSync(result, "utf8"));
  }, 400_000);

  afterAll(() => {
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  });

  test("every cell ends well, and what it prints is its own", () => {
    expect(cells.map(({ status }) => status)).toEqual(["ok", "ok", "ok"]);
    expect(cells[2]!.published.map(({ content }) => content.text ?? "").join("")).toContain("next cell");
    expect(cells.flatMap(({ published }) => published).filter(({ type }) => type === "error")).toEqual([]);
  });

  test("one picture is shown and then redrawn in its place until the run has finished", () => {
    const pictures = cells[1]!.published.filter(({ type }) => type.endsWith("display_data"));
    expect(pictures.map(({ type }) => type)).toEqual([
      "display_data",
      ...pictures.slice(1).map(() => "update_display_data"),
    ]);
    expect(pictures.length).toBeGreaterThanOrEqual(3); // three seconds, redrawn once a second, and the last
    expect(pictures.length).toBeLessThan(10);
    expect(new Set(pictures.map(({ content }) => content.transient?.display_id)).size).toBe(1);
    for (const { content } of pictures) expect(Object.keys(content.data!)).toEqual(["image/svg+xml"]);
    const drawn = pictures.map(({ content }) => content.data!["image/svg+xml"]!);
    expect(drawn[0]).toContain("no update yet");
    expect(drawn.at(-1)).toMatch(/aria-label="Run in-tslab finished: loss 2\.309 -&gt; \d\.\d+ over 30 updates/);
    expect(drawn.at(-1)).toContain("天空是蓝色的。");
  });
});
