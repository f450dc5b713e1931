// Training leaves the event loop free: other cells run, widgets move, the stop button works.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { openDevice } from "../../src/engine/devices.js";
import { temporaryFolder } from "./tiny-run.js";

const child = path.join(import.meta.dirname, "event-loop-child.ts");

const missing = await openDevice("cpu").then(
  () => (existsSync("/proc/self/schedstat") ? "" : "needs /proc/self/schedstat, which tells a thread's processor time"),
  (error: Error) => `needs the cpu device: ${error.message.split("\n")[0]}`,
);

describe.skipIf(missing !== "")(`the event loop${missing && ` (${missing})`}`, () => {
  test("is never blocked longer than 20 ms from the first row to the saved adapter", { timeout: 120_000 }, async () => {
    const folder = path.join(temporaryFolder(), "run");
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", child, folder]);
    const worst = JSON.parse(stdout) as { readonly ms: number; readonly after: string };
    expect(worst.ms, `after ${worst.after}`).toBeGreaterThan(0);
    expect(worst.ms, `after ${worst.after}`).toBeLessThan(20);
  });
});
