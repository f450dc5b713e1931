// Runs the Python tests of this folder: a real jupyter_client, and jupyter_kernel_test, against the built kernel.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const python = process.env.TUNEBOOK_PYTHON ?? `${root}.venv/bin/python`;
const suites = readdirSync(`${root}test/kernel`).filter((name) => /^test_.*\.py$/.test(name));

if (!existsSync(python)) console.warn(`skipped: ${python} is not there; \`npm run setup\` makes it`);

describe.skipIf(!existsSync(python))("the kernel as a Jupyter client sees it (needs .venv)", () => {
  beforeAll(() => {
    const tsc = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "kernel/tsconfig.json"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(tsc.stdout + tsc.stderr).toBe("");
  }, 120_000);

  test.each(suites)(
    "%s passes",
    (suite) => {
      const ran = spawnSync(python, ["-m", "pytest", "-q", "--timeout", "300", `test/kernel/${suite}`], {
        cwd: root,
        encoding: "utf8",
        timeout: 1_200_000,
      });
      expect(ran.status, ran.stdout + ran.stderr).toBe(0);
      expect(ran.stdout).toMatch(/\d+ passed/);
    },
    1_220_000,
  );
});
