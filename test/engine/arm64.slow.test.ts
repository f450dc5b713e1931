// The kernels of arm64 processors, whose vectors are NEON: built by a cross compiler and run in an emulator, where both are installed.
// Debian: g++-aarch64-linux-gnu and qemu-user.

import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { firstLine } from "../../setup/prerequisites.mjs";
import { judgeValues } from "./contract/judge.js";
import { PipeDevice } from "./pipe.js";

const root = resolve(import.meta.dirname, "..", "..");
const program = join(root, "build", "arm64", "tunebook-pipe");

const absent = ["aarch64-linux-gnu-g++", "qemu-aarch64"].filter((name) => firstLine(name, "--version") === undefined);

if (absent.length > 0) {
  test.skip(`not run: no ${absent.join(", no ")} on this machine`, () => undefined);
} else {
  beforeAll(() => {
    execFileSync(process.execPath, [join(root, "src", "engine", "native", "build.mjs"), "--pipe", "arm64"]);
  }, 600_000);

  test("the library is built for arm64", () => {
    const header = execFileSync("aarch64-linux-gnu-readelf", ["-h", program], { encoding: "utf8" });
    expect(header).toMatch(/Machine:\s+AArch64/);
  });

  describe("arm64 in an emulator", () => {
    const device = new PipeDevice(["qemu-aarch64", program], 2);
    afterAll(() => device.dispose());
    judgeValues(device);
  });
}
