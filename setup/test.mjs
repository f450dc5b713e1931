// `npm test` and `npm run check` after the set-up: the stages in order, all of them even when one fails, and a summary.
//
//     node setup/test.mjs [stage ...]    types, lint, vitest, browser; all when none is named

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findBrowser, isCi } from "./browser.mjs";
import { root } from "./parts.mjs";

const tool = (name, ...path) => join(root, "node_modules", name, ...path);
const projects = ["tsconfig.json", "kernel/tsconfig.json", "extension/tsconfig.json", "test/tsconfig.json"];

/** Run a program in the root with its output shown. @returns whether it ended with code 0. */
function show(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env }, stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code) => resolve(code === 0));
  });
}

/** A report a runner wrote as JSON; undefined when it got no further than its start. */
function report(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

/** Tests of all runners together. */
const tests = { passed: 0, failed: 0, skipped: 0 };

function count(passed, failed, skipped) {
  tests.passed += passed;
  tests.failed += failed;
  tests.skipped += skipped;
}

const stages = {
  types: async () => {
    for (const project of projects) {
      const info = join(root, ".cache", `${project.replaceAll("/", "-")}.tsbuildinfo`);
      const tsc = tool("typescript", "bin", "tsc");
      if (!(await show([tsc, "-p", project, "--noEmit", "--incremental", "--tsBuildInfoFile", info]))) {
        return { good: false, says: `errors in ${project}` };
      }
    }
    return { good: true, says: projects.join(", ") };
  },

  lint: async () => {
    const good = await show([tool("@biomejs", "biome", "bin", "biome"), "check", "."]);
    return { good, says: good ? "biome: rules and format" : "npx biome check --write . mends format and order" };
  },

  vitest: async () => {
    // The simulated GPU is for tests alone, so only they build it; where it cannot be built, its tests are skipped by name.
    await show([join("src", "engine", "native", "cuda", "build.mjs"), "--sim"]);
    const file = join(root, "artifacts", "vitest.json");
    rmSync(file, { force: true });
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
    const good = await show([tool("vitest", "vitest.mjs"), "run", ...reporters]);
    const counts = report(file);
    if (!counts) return { good: false, says: "vitest did not come to an end" };
    const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = counts;
    count(passed, failed, skipped);
    return { good: good && passed > 0, says: `${passed} passed, ${failed} failed, ${skipped} skipped` };
  },

  browser: async () => {
    const browser = findBrowser();
    if (!browser) return { good: !isCi, skipped: true, says: "no chromium on this machine" };
    const file = join(root, "artifacts", "playwright.json");
    rmSync(file, { force: true });
    const env = { PLAYWRIGHT_JSON_OUTPUT_NAME: file, TUNEBOOK_CHROMIUM: browser };
    const good = await show(
      [tool("@playwright/test", "cli.js"), "test", "-c", "test/extension", "--reporter=list,json"],
      env,
    );
    const counts = report(file)?.stats;
    if (!counts) return { good: false, says: "Playwright did not come to an end" };
    const none = counts.expected === 0;
    count(counts.expected, counts.unexpected, counts.skipped);
    return {
      good: good && !none,
      says: `${counts.expected} passed, ${counts.unexpected} failed, ${counts.skipped} skipped`,
    };
  },
};

const asked = process.argv.slice(2);
const names = asked.length > 0 ? asked : Object.keys(stages);
for (const name of names) {
  if (!(name in stages)) {
    console.error(`setup/test.mjs: no stage "${name}"; expected ${Object.keys(stages).join(", ")}`);
    process.exit(2);
  }
}

mkdirSync(join(root, "artifacts"), { recursive: true });
mkdirSync(join(root, ".cache"), { recursive: true });
const began = Date.now();
const lines = [];
let allGood = true;
for (const name of names) {
  const since = Date.now();
  console.log(`\n--- ${name}`);
  const { good, skipped = false, says } = await stages[name]();
  allGood &&= good;
  const verdict = !good ? "FAILED" : skipped ? "skipped" : "passed";
  lines.push(
    `  ${name.padEnd(8)} ${verdict.padEnd(8)} ${`${((Date.now() - since) / 1000).toFixed(0)} s`.padStart(6)}  ${says}`,
  );
}
console.log(
  `\n--- summary\n${lines.join("\n")}\n  ${allGood ? "all passed" : "NOT all passed"} in ${((Date.now() - began) / 1000).toFixed(0)} s`,
);
if (tests.passed + tests.failed > 0) {
  console.log(`tests: ${tests.passed} passed, ${tests.failed} failed, ${tests.skipped} skipped`);
}
process.exit(allGood ? 0 : 1);
