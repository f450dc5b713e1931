// README's code does what it says: it trains the shipped model on the shipped rows and prints an answer before and after.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");

test("README's code trains and compares", { timeout: 300_000 }, () => {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8")) ?? [];
  const place = join(root, ".cache", "readme"); // inside the checkout, where "tunebook" is found; its runs/ stays there
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  symlinkSync(join(root, "notebooks"), join(place, "notebooks"));
  writeFileSync(join(place, "example.ts"), code as string);
  const output = execFileSync(process.execPath, ["--import", "tsx", "example.ts"], { cwd: place, encoding: "utf8" });
  const [, base, tuned] = /prompt: '天空是什么颜色？',\s+base: '([^']+)',\s+tuned: '([^']+)'/.exec(output) ?? [];
  expect({ base, tuned }).toEqual({ base: "blue", tuned: "蓝色" });
});
