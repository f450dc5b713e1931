// binder/ sets up what the README's commands set up, with the same versions.

import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..", "..");
const read = (...path: string[]) => readFileSync(join(root, ...path), "utf8");

describe("binder/", () => {
  test("pins the versions that setup/requirements.txt pins", () => {
    const pinned = new Map(
      [...read("setup", "requirements.txt").matchAll(/^(\S+)==(\S+)/gm)].map(([, name, version]) => [name, version]),
    );
    const asked = [...read("binder", "environment.yml").matchAll(/^ {2}- (\w+)=(\d+\.\d+\.\d+)$/gm)];
    expect(asked.map(([, name]) => name)).toEqual(["jupyterlab", "notebook", "nbconvert"]);
    for (const [, name, version] of asked) expect(`${name} ${pinned.get(name)}`).toBe(`${name} ${version}`);
  });

  test.each(["postBuild", "start"])("%s can be executed, is valid bash and stops at the first error", (name) => {
    expect(statSync(join(root, "binder", name)).mode & 0o111).toBe(0o111);
    execFileSync("bash", ["-n", join(root, "binder", name)]);
    expect(read("binder", name)).toContain("\nset -euo pipefail\n");
  });

  test("start ends by becoming the server it was given", () => {
    expect(execFileSync("bash", [join(root, "binder", "start"), "echo", "the server"], { encoding: "utf8" })).toBe(
      "the server\n",
    );
  });
});
