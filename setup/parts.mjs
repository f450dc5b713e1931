// What is set up, in order: what each part is made from, what it leaves, and how it is made. Run by run.mjs.

import { chmodSync, existsSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { filesUnder } from "./fingerprint.mjs";
import { findCompiler, findPython } from "./prerequisites.mjs";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Programs inside .venv. */
export const venv = (program) => join(root, ".venv", "bin", program);

const tsc = join("node_modules", "typescript", "bin", "tsc");
const labextension = join("share", "jupyter", "labextensions", "tunebook-extension");
/** What the extension is made from: itself, and the part of the library that runs in a page. */
const page = ["extension", "src/widgets", "src/train/events.ts", "src/engine/program.ts"];
const typescript = ["tsconfig.base.json", "package-lock.json"];

/** The Python environment, where none is given. */
const python = {
  name: "python",
  does: ".venv with JupyterLab, pinned in setup/requirements.txt",
  needs: [],
  sources: ["setup/requirements.txt"],
  facts: () => [findPython()?.version, root],
  leaves: [".venv/bin/python", ".venv/bin/jupyter"],
  make: async ({ command }) => {
    rmSync(join(root, ".venv"), { recursive: true, force: true });
    await command(findPython().program, "-m", "venv", ".venv");
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-input"];
    await command(venv("python"), "-m", "pip", "install", ...quiet, "-r", "setup/requirements.txt");
  },
};

/**
 * One part.
 *
 *     name      as shown
 *     needs     parts that must be current before it starts
 *     sources   files and folders whose bytes decide whether it is current
 *     facts     other things it depends on, as JSON
 *     leaves    files that must be there afterwards
 *     make      makes it; `command(program, ...args)` runs a program in the root and throws with its output when it fails
 *
 * @param prefix - A Python environment that already has JupyterLab, to use in place of .venv.
 */
export const partsFor = (prefix = ".venv") => [
  {
    name: "packages",
    does: "npm ci",
    needs: [],
    sources: ["package-lock.json", ".npmrc"],
    facts: () => [process.versions.modules, process.platform, process.arch],
    leaves: ["node_modules/.package-lock.json", tsc],
    make: async ({ command }) => {
      const npm = process.env.npm_execpath?.endsWith("npm-cli.js")
        ? [process.execPath, process.env.npm_execpath]
        : ["npm"];
      await command(...npm, "ci", "--no-audit", "--no-fund", "--prefer-offline");
      // tslab brings a fork of TypeScript 5.0, whose tsc npm would link in place of ours.
      const link = join(root, "node_modules", ".bin", "tsc");
      rmSync(link, { force: true });
      symlinkSync(join("..", "typescript", "bin", "tsc"), link);
    },
  },
  ...(prefix === ".venv" ? [python] : []),
  {
    name: "native",
    does: "the C++ library of the cpu device",
    needs: ["packages"],
    sources: ["src/engine/native"],
    facts: () => [findCompiler(), process.versions.modules, process.arch],
    leaves: ["build/tunebook.node"],
    make: ({ command }) => command(process.execPath, "src/engine/native/build.mjs"),
  },
  {
    name: "library",
    does: "TypeScript of src/",
    needs: ["packages"],
    sources: ["src", "tsconfig.json", ...typescript],
    facts: () => [],
    leaves: ["dist/index.js", "dist/cli/main.js"],
    make: async ({ command }) => {
      await compile(command, ".", "src", "dist");
      chmodSync(join(root, "dist", "cli", "main.js"), 0o755);
    },
  },
  {
    name: "kernel",
    does: "TypeScript of kernel/",
    needs: ["library"],
    sources: ["kernel", "src", ...typescript],
    facts: () => [],
    leaves: ["kernel/dist/cli.js"],
    make: async ({ command }) => {
      await compile(command, "kernel", "kernel/src", "kernel/dist");
      chmodSync(join(root, "kernel", "dist", "cli.js"), 0o755);
    },
  },
  {
    name: "extension",
    does: "the JupyterLab extension",
    needs: ["library"],
    sources: [...page, ...typescript],
    facts: () => [],
    leaves: ["extension/dist/labextension/package.json"],
    make: ({ command }) => command(process.execPath, "extension/build.mjs"),
  },
  {
    name: "jupyter",
    does: `kernelspec and labextension inside ${prefix}`,
    needs: ["python", "kernel", "extension"],
    sources: ["setup/requirements.txt", "kernel/src/install", "kernel/logo", ...page],
    facts: () => [root, process.execPath, resolve(prefix)],
    leaves: [join(prefix, labextension, "package.json")],
    make: async ({ command }) => {
      await command(process.execPath, "kernel/dist/cli.js", "install", "--prefix", prefix);
      await command(process.execPath, "extension/build.mjs", "--no-build", "--install", prefix);
    },
  },
];

/** Compile one package, then take away what a source that is gone has left behind. */
async function compile(command, project, sources, out) {
  const remember = ["--incremental", "--tsBuildInfoFile", join(out, ".tsbuildinfo")];
  await command(process.execPath, tsc, "-p", join(project, "tsconfig.json"), ...remember);
  for (const file of filesUnder(join(root, out))) {
    const stem = file.slice(join(root, out).length).replace(/\.(js|d\.ts)(\.map)?$/, "");
    if (stem !== file.slice(join(root, out).length) && !existsSync(join(root, sources, `${stem}.ts`))) rmSync(file);
  }
}
