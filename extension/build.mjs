// Builds the prebuilt JupyterLab extension into dist/labextension with node alone, and with --install PREFIX puts it where
// JupyterLab of that environment looks. Needs the library's dist/ (npx tsc -p tsconfig.json in the root) first.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const built = join(here, "dist", "labextension");

/** A program of node_modules, with its output here; ends this script with its code when it fails. */
function run(script, ...args) {
  const { status, error } = spawnSync(process.execPath, [script, ...args], { cwd: here, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Compile src/ to lib/, then bundle lib/ into dist/labextension. */
export function build() {
  if (!existsSync(join(here, "..", "dist", "widgets", "browser.js"))) {
    throw new Error(
      "extension: dist/widgets/browser.js of the library is missing; run `npx tsc -p tsconfig.json` first",
    );
  }
  rmSync(join(here, "lib"), { recursive: true, force: true });
  run(require.resolve("typescript/bin/tsc"), "-p", join(here, "tsconfig.json"));
  const builder = join(dirname(require.resolve("@jupyter/builder/package.json")), "lib", "build-labextension.js");
  const core = join(dirname(require.resolve("@jupyterlab/core-meta/package.json")), "core.package.json");
  run(builder, "--core-package-file", core, here);
}

/** Copy the built extension to PREFIX/share/jupyter/labextensions, written beside and renamed over. */
export function install(prefix) {
  const place = resolve(prefix, "share", "jupyter", "labextensions", "tunebook-extension");
  const beside = `${place}.new`;
  mkdirSync(dirname(place), { recursive: true });
  rmSync(beside, { recursive: true, force: true });
  cpSync(built, beside, { recursive: true });
  rmSync(place, { recursive: true, force: true });
  renameSync(beside, place);
  return place;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf("--install");
  if (at >= 0 && process.argv[at + 1] === undefined) throw new Error("extension: expected a folder after --install");
  if (!process.argv.includes("--no-build")) build();
  if (at >= 0) console.log(install(process.argv[at + 1]));
}
