// Browser tests against real JupyterLab: the server of .venv on a port of its own, Debian's chromium, one page at a time.
// Screenshots and traces land in artifacts/browser.

import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineConfig } from "@playwright/test";
import { artifacts, port, root, token, work } from "./lab.js";

const chromium = process.env["TUNEBOOK_CHROMIUM"] ?? "/usr/bin/chromium";
if (!existsSync(chromium)) {
  throw new Error(`browser tests: no chromium at ${chromium}; apt-get install chromium, or set TUNEBOOK_CHROMIUM`);
}

/** JupyterLab as a fresh user has it, but without questions about news. */
const settings: Readonly<Record<string, object>> = {
  "@jupyterlab/apputils-extension/notification": { fetchNews: "false", checkForUpdates: false },
};

// Workers load this file too; only the main process, which starts the server, prepares its folders.
if (process.env["TEST_WORKER_INDEX"] === undefined) {
  rmSync(artifacts, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  for (const [name, value] of Object.entries(settings)) {
    const file = join(artifacts, "settings", `${name}.jupyterlab-settings`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(value));
  }
}

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.ts",
  workers: 1,
  timeout: 240_000,
  expect: { timeout: 30_000 },
  outputDir: join(artifacts, "results"),
  reporter: "list",
  use: {
    viewport: { width: 1200, height: 1100 },
    launchOptions: { executablePath: chromium, args: ["--no-sandbox"] },
    trace: "retain-on-failure",
  },
  webServer: {
    command: [
      join(root, ".venv", "bin", "jupyter"),
      "lab --no-browser --allow-root --expose-app-in-browser",
      `--ServerApp.ip=127.0.0.1 --ServerApp.port=${port} --ServerApp.port_retries=0`,
      `--IdentityProvider.token=${token} --ServerApp.root_dir=${work}`,
      `>${join(artifacts, "server.log")} 2>&1`,
    ].join(" "),
    url: `http://127.0.0.1:${port}/api`,
    timeout: 60_000,
    reuseExistingServer: false,
    env: {
      JUPYTER_CONFIG_DIR: join(artifacts, "config"),
      JUPYTER_RUNTIME_DIR: join(artifacts, "runtime"),
      JUPYTERLAB_SETTINGS_DIR: join(artifacts, "settings"),
      JUPYTERLAB_WORKSPACES_DIR: join(artifacts, "workspaces"),
    },
  },
});
