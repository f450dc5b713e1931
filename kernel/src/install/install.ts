// Writes the kernelspec: the command that starts this kernel, with absolute paths, and its logo.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface InstallOptions {
  /** Into the active Python environment, else that of the python3 on PATH. */
  readonly sysPrefix?: boolean;
  /** Into the user's Jupyter folder. This is the default. */
  readonly user?: boolean;
  /** Into `<prefix>/share/jupyter`. */
  readonly prefix?: string;
}

/**
 * @returns The folder that was written.
 * @throws Error when more than one place is named, or `sysPrefix` finds no active environment.
 */
export function installKernelspec(options: InstallOptions = {}): string {
  const folder = join(jupyterFolder(options), "kernels", "tunebook");
  mkdirSync(folder, { recursive: true });
  const cli = fileURLToPath(new URL("../cli.js", import.meta.url));
  const spec = {
    // Absolute: a JupyterLab or VS Code started from a desktop has another PATH than a shell.
    argv: [process.execPath, cli, "run", "{connection_file}"],
    display_name: "TypeScript (Tunebook)",
    language: "typescript",
    interrupt_mode: "message",
    env: {},
    metadata: {},
  };
  writeFileSync(join(folder, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
  for (const logo of ["logo-svg.svg", "logo-64x64.png", "logo-32x32.png"]) {
    copyFileSync(fileURLToPath(new URL(`../../logo/${logo}`, import.meta.url)), join(folder, logo));
  }
  return folder;
}

function jupyterFolder({ sysPrefix = false, user = false, prefix }: InstallOptions): string {
  if ([sysPrefix, user, prefix !== undefined].filter(Boolean).length > 1) {
    throw new Error("install: expected one of --sys-prefix, --user and --prefix, got several");
  }
  if (prefix !== undefined) return join(prefix, "share", "jupyter");
  if (!sysPrefix) return userFolder();
  const environment = process.env.VIRTUAL_ENV ?? process.env.CONDA_PREFIX ?? prefixOfPython();
  if (!environment) {
    throw new Error("install --sys-prefix: found no active environment and no python3; use --prefix DIR");
  }
  return join(environment, "share", "jupyter");
}

/** The environment of the python3 on PATH, undefined without one. */
function prefixOfPython(): string | undefined {
  const { stdout, status } = spawnSync("python3", ["-c", "import sys; print(sys.prefix)"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** Where Jupyter keeps a user's data on each system. */
function userFolder(): string {
  if (process.env.JUPYTER_DATA_DIR) return process.env.JUPYTER_DATA_DIR;
  if (process.platform === "darwin") return join(homedir(), "Library", "Jupyter");
  if (process.platform === "win32") return join(process.env.APPDATA ?? homedir(), "jupyter");
  return join(process.env.XDG_DATA_HOME ?? join(homedir(), ".local", "share"), "jupyter");
}
