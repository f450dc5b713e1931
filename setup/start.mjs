// `npm start`: JupyterLab on the first tutorial. Answers on 127.0.0.1 only, and asks for the token it prints.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root, venv } from "./parts.mjs";

const first = readdirSync(join(root, "notebooks")).find((name) => /^01-.*\.ipynb$/.test(name));
if (!first) throw new Error("setup/start.mjs: expected a notebook notebooks/01-*.ipynb, found none");

const settings = [
  "--ServerApp.ip=127.0.0.1",
  "--LabApp.news_url=None", // no question about news, no request to the outside
  "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
];
if (process.getuid?.() === 0) settings.push("--allow-root"); // Jupyter refuses root otherwise; a container often has no other user

const lab = spawn(venv("jupyter"), ["lab", ...settings, ...process.argv.slice(2), join("notebooks", first)], {
  cwd: root,
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => lab.kill(signal));
lab.on("close", (code) => process.exit(code ?? 1));
