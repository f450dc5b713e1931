// A part of the set-up is made again when, and only when, what it is made from changed.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fingerprint, readState, writeState } from "../../setup/fingerprint.mjs";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tunebook-setup-"));
  mkdirSync(join(root, "src", "deep"), { recursive: true });
  writeFileSync(join(root, "src", "deep", "a.ts"), "one");
});
afterEach(() => rmSync(root, { recursive: true }));

describe("fingerprint", () => {
  test("stays the same while no byte changes", () => {
    expect(fingerprint(root, ["src"], [1])).toBe(fingerprint(root, ["src"], [1]));
  });

  test.each<[string, () => void]>([
    ["a file's bytes", () => writeFileSync(join(root, "src", "deep", "a.ts"), "two")],
    ["a new file", () => writeFileSync(join(root, "src", "b.ts"), "")],
    ["a file that went", () => rmSync(join(root, "src", "deep", "a.ts"))],
  ])("changes with %s", (_, change) => {
    const before = fingerprint(root, ["src"], []);
    change();
    expect(fingerprint(root, ["src"], [])).not.toBe(before);
  });

  test("changes with a fact, such as the compiler's version", () => {
    expect(fingerprint(root, ["src"], ["12"])).not.toBe(fingerprint(root, ["src"], ["13"]));
  });

  test("does not see what a build leaves beside its sources", () => {
    const before = fingerprint(root, ["src"], []);
    mkdirSync(join(root, "src", "dist"));
    writeFileSync(join(root, "src", "dist", "a.js"), "made");
    expect(fingerprint(root, ["src"], [])).toBe(before);
  });

  test("bytes moved from one file's end to the next one's start change it", () => {
    writeFileSync(join(root, "src", "a"), "xy");
    writeFileSync(join(root, "src", "b"), "z");
    const before = fingerprint(root, ["src"], []);
    writeFileSync(join(root, "src", "a"), "x");
    writeFileSync(join(root, "src", "b"), "yz");
    expect(fingerprint(root, ["src"], [])).not.toBe(before);
  });
});

describe("state file", () => {
  test("is read back as written, and nothing is left beside it", () => {
    const file = join(root, "cache", "setup.json");
    writeState(file, { packages: "abc" });
    expect(readState(file)).toEqual({ packages: "abc" });
    expect(readdirSync(join(root, "cache"))).toEqual(["setup.json"]);
  });

  test.each(["", "{", "null", "7"])("that holds %j counts as none, so that everything is made", (text) => {
    const file = join(root, "setup.json");
    writeFileSync(file, text);
    expect(readState(file)).toEqual({});
  });

  test("that is absent counts as none", () => {
    expect(readState(join(root, "nothing.json"))).toEqual({});
  });
});
