// The arrows between the folders of src/ are those of the table in src/README.md, and no others.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
const importLine = /(?:\bfrom|\bimport|\bimport\()\s*["']([^"']+)["']/g;

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name) && !/(^|\/)(node_modules|dist|lib)\//.test(name))
    .map((name) => join(folder, name));
}

function importsOf(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(importLine)].map(([, from]) => from as string);
}

/** Folder to the folders it may import from, as the table says. */
function table(): Map<string, string[]> {
  const rows = readFileSync(join(root, "src", "README.md"), "utf8").matchAll(
    /^\| \[(\w+)\]\(\w+\) \|[^|]*\|([^|]*)\|$/gm,
  );
  return new Map(
    [...rows].map(([, folder, list]) => [folder as string, (list as string).trim().split(/,\s*/).filter(Boolean)]),
  );
}

interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly file: string;
}

/** Every relative import that leaves its folder of src/. Files directly in src/ may import everything. */
function arrows(): Arrow[] {
  const src = join(root, "src");
  const folderOf = (path: string) => {
    const first = relative(src, path).split(sep)[0] as string;
    return /\.[jt]s$/.test(first) ? "package" : first;
  };
  return sources(src).flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith("."))
      .map((target) => ({
        from: folderOf(file),
        to: folderOf(resolve(dirname(file), target)),
        file: relative(root, file),
      }))
      .filter(({ from, to }) => from !== to && from !== "package"),
  );
}

describe("src/", () => {
  const allowed = table();

  test("the table has a row for every folder that holds code", () => {
    const src = join(root, "src");
    const folders = readdirSync(src, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && sources(join(src, entry.name)).length > 0)
      .map(({ name }) => name);
    expect([...allowed.keys()].filter((name) => folders.includes(name)).sort()).toEqual(folders.sort());
  });

  test("no folder imports from one that the table does not allow it", () => {
    expect(arrows().filter(({ from, to }) => !allowed.get(from)?.includes(to))).toEqual([]);
  });

  test("no arrow of the table stands for nothing", () => {
    const used = new Set(arrows().map(({ from, to }) => `${from} -> ${to}`));
    const listed = [...allowed].flatMap(([from, list]) => list.map((to) => `${from} -> ${to}`));
    expect(listed.filter((arrow) => !used.has(arrow))).toEqual([]);
  });

  test("the allowed arrows make no circle, so that the folders can be read one after the other", () => {
    const rest = new Map(allowed);
    for (;;) {
      const leaf = [...rest].find(([, list]) => list.every((to) => !rest.has(to)));
      if (!leaf) break;
      rest.delete(leaf[0]);
    }
    expect([...rest.keys()]).toEqual([]);
  });
});

describe.each(["kernel", "extension"])("%s/", (folder) => {
  test("imports the package tunebook and nothing below it", () => {
    const inside = join(root, folder);
    const outside = sources(join(inside, "src")).flatMap((file) =>
      importsOf(file)
        .filter((target) => target.startsWith(".") && !resolve(dirname(file), target).startsWith(inside + sep))
        .map((target) => `${relative(root, file)}: ${target}`),
    );
    expect(outside).toEqual([]);
  });
});
