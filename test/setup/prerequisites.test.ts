// What is missing on a machine is named, with the command that installs it.

import { describe, expect, test } from "vitest";
import { atLeast, describeMissing, findCompiler, findPython, missing } from "../../setup/prerequisites.mjs";

const good = {
  node: "20.19.0",
  python: { program: "/usr/bin/python3", version: "3.10.4" },
  compiler: { program: "g++", version: "12" },
};

describe("atLeast", () => {
  test.each([
    ["20.19.0", "20.19", true],
    ["20.18.3", "20.19", false],
    ["20.9.0", "20.19", false],
    ["22.0.0", "20.19", true],
    ["9.99", "20.19", false],
    ["12", "12", true],
    ["3.9.18", "3.10", false],
  ])("%s is at least %s: %s", (found, least, expected) => {
    expect(atLeast(found, least)).toBe(expected);
  });
});

describe("missing", () => {
  test("names nothing on a machine that has all", () => {
    expect(missing(good)).toEqual([]);
  });

  test("names a Node that is too old with its version and a command", () => {
    expect(describeMissing(missing({ ...good, node: "18.20.4" }))).toMatch(
      /^missing: Node\.js 20\.19 or newer \(found: 18\.20\.4\)\n {2}install it with: .*npx --yes n 22$/,
    );
  });

  test("names Python and the compiler together when both are missing", () => {
    const text = describeMissing(missing({ node: good.node, python: undefined, compiler: undefined }));
    expect(text).toContain("missing: Python 3.10 or newer with venv and ensurepip");
    expect(text).toContain("missing: g++ 12 or newer (or clang++)");
    expect(text.match(/install it with: \S+/g)).toHaveLength(2);
  });
});

describe("a look at this machine", () => {
  test("passes over a program that does not exist or fails", () => {
    expect(findPython(["no-such-python", "false"])).toBeUndefined();
    expect(findCompiler(["no-such-compiler", "false"])).toBeUndefined();
  });

  test("finds the Python and the compiler these tests run with", () => {
    expect(atLeast(findPython()?.version ?? "0", "3.10")).toBe(true);
    expect(atLeast(findCompiler()?.version ?? "0", "12")).toBe(true);
  });
});
