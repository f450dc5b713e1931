// Parts are made in the order of their needs, only when they are not current, and a failure stops what needs it and nothing else.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CommandError, command, makeParts } from "../../setup/run.mjs";

let root: string;
let order: string[];
let said: string[];
let state: Record<string, string>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tunebook-parts-"));
  for (const name of ["one", "two", "other"]) writeFileSync(join(root, `${name}.src`), name);
  [order, said, state] = [[], [], {}];
});
afterEach(() => rmSync(root, { recursive: true }));

function part(name: string, needs: string[] = [], make?: () => Promise<void>) {
  return {
    ...{ name, needs, does: `makes ${name}`, sources: [`${name}.src`], facts: () => [], leaves: [`${name}.out`] },
    make: async () => {
      order.push(name);
      await make?.();
      writeFileSync(join(root, `${name}.out`), "");
    },
  };
}

function run(parts: ReturnType<typeof part>[], force = false) {
  return makeParts(parts, {
    root,
    state,
    save: (now: object) => Object.assign(state, now),
    force,
    say: (line: unknown) => said.push(String(line)),
  });
}

const chain = () => [part("one"), part("two", ["one"]), part("other")];

test("a first set-up makes all, a part after what it needs, and says so in a line each", async () => {
  const { made, failed } = await run(chain());
  expect(made.sort()).toEqual(["one", "other", "two"]);
  expect(failed).toEqual([]);
  expect(order.indexOf("two")).toBeGreaterThan(order.indexOf("one"));
  expect(said.filter((line) => /^ {2}\w+ +makes \w+ {2}\d+\.\d s$/.test(line))).toHaveLength(3);
});

test("a second one makes nothing and says nothing", async () => {
  await run(chain());
  [order, said] = [[], []];
  expect(await run(chain())).toEqual({ made: [], failed: [] });
  expect([order, said]).toEqual([[], []]);
});

test("only the part whose source changed, or whose result is gone, is made again", async () => {
  await run(chain());
  writeFileSync(join(root, "other.src"), "changed");
  expect((await run(chain())).made).toEqual(["other"]);
  rmSync(join(root, "two.out"));
  expect((await run(chain())).made).toEqual(["two"]);
});

test("force makes everything again", async () => {
  await run(chain());
  expect((await run(chain(), true)).made).toHaveLength(3);
});

test("a part that fails keeps what needs it from being made, leaves the others alone, and is tried again", async () => {
  const broken = () => Promise.reject(new CommandError("g++ ended with code 1:\nno such header"));
  const { made, failed } = await run([part("one", [], broken), part("two", ["one"]), part("other")]);
  expect({ made, failed }).toEqual({ made: ["other"], failed: ["one"] });
  expect(said.join("\n")).toContain("no such header");
  expect((await run(chain())).made).toEqual(["one", "two"]);
});

test("a part that says it worked but leaves nothing has failed", async () => {
  const { leaves: _, ...rest } = part("one");
  const { failed } = await run([{ ...rest, leaves: ["elsewhere.out"] }]);
  expect(failed).toEqual(["one"]);
  expect(said.join("\n")).toContain("one was made but left no elsewhere.out");
});

test("a command that fails is quoted with the end of what it printed", async () => {
  const script = "for (let i = 0; i < 100; i++) console.log('line ' + i); process.exit(3)";
  const failing = command(process.execPath, "-e", script);
  await expect(failing).rejects.toThrow(/ended with code 3:\nline 40\n[\s\S]*line 99$/);
});
