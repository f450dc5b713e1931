// What README and CONTRIBUTING say is there: links, paths, commands, flags, and code that fits the library.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
const read = (...path: string[]) => readFileSync(join(root, ...path), "utf8");
const pages = ["README.md", "CONTRIBUTING.md", "src/README.md"];
const scripts = Object.keys((JSON.parse(read("package.json")) as { scripts: object }).scripts);

/** All first groups of a pattern in a text. */
const found = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, first]) => first as string);

describe.each(pages)("%s", (page) => {
  const text = read(page);

  test("links to what exists", () => {
    const links = found(text, /\]\(([^)#]+)[^)]*\)/g).filter((link) => !/^https?:/.test(link));
    expect(links.length).toBeGreaterThan(0);
    expect(links.filter((link) => !existsSync(resolve(root, dirname(page), link)))).toEqual([]);
  });

  test("names files and folders that exist", () => {
    const paths = found(text, /`((?:src|test|kernel|extension|setup|\.ci)\/[\w./-]*)`/g);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test("names npm commands that package.json has", () => {
    const named = [...found(text, /npm run ([\w:-]+)/g), ...found(text, /npm (test|start)\b/g)];
    expect(named.filter((name) => !scripts.includes(name))).toEqual([]);
  });
});

test("CONTRIBUTING lists every npm command but those of the README's first screen", () => {
  const first = read("README.md").split("\n").slice(0, 14).join("\n");
  expect(found(first, /npm run (quickstart)/g)).toHaveLength(1);
  expect(found(first, /npm (start)/g)).toHaveLength(1);
  const listed = found(read("CONTRIBUTING.md"), /^\| `npm (?:run )?([\w:-]+)`/gm);
  expect([...listed, "quickstart", "start"].sort()).toEqual([...scripts].sort());
});

test("continuous integration runs npm test and nothing else", () => {
  expect(read(".ci", "run").trim().split("\n").at(-1)).toBe("exec npm test");
});

test("README's tunebook commands and flags are those of the command", () => {
  const main = ["--import", "tsx", join(root, "src", "cli", "main.ts")];
  for (const line of found(read("README.md"), /^npx tunebook (.+)$/gm)) {
    const [command, ...rest] = line.split(" ");
    const help = execFileSync(process.execPath, [...main, command as string, "--help"], {
      cwd: root,
      encoding: "utf8",
    });
    for (const flag of rest.filter((word) => word.startsWith("--"))) expect(help).toContain(` ${flag} `);
  }
});

test("README's code is TypeScript that fits the library", { timeout: 120_000 }, () => {
  const [code] = found(read("README.md"), /```ts\n([\s\S]*?)```/g);
  expect(code).toContain('from "tunebook"');
  const file = join(root, "readme-example.ts");
  const { config } = ts.readConfigFile(join(root, "tsconfig.base.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const settings = {
    ...options,
    noEmit: true,
    declaration: false,
    paths: { tunebook: [join(root, "src", "index.ts")] },
  };
  const host = ts.createCompilerHost(settings);
  const { readFile, fileExists } = host;
  host.readFile = (name) => (name === file ? code : readFile(name));
  host.fileExists = (name) => name === file || fileExists(name);
  const program = ts.createProgram([file], settings, host);
  const example = program.getSourceFile(file);
  expect(example).toBeDefined();
  const complaints = [...program.getSyntacticDiagnostics(example), ...program.getSemanticDiagnostics(example)];
  expect(complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"))).toEqual([]);
});
