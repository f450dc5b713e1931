// The kernelspec on disk, history as clients ask for it, and the Host as the library declares it.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { installKernelspec } from "../../kernel/src/install/install.js";
import { Comms } from "../../kernel/src/run/comms.js";
import { History } from "../../kernel/src/run/history.js";
import { createHost, hostKey } from "../../kernel/src/run/host.js";
import { type Host, hostKey as hostKeyOfLibrary } from "../../src/widgets/host.js";

describe("installing the kernelspec", () => {
  const folder = mkdtempSync(join(tmpdir(), "tunebook-install-"));
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
    vi.unstubAllEnvs();
  });

  test("a prefix gets kernel.json with absolute paths, and the logos", () => {
    const written = installKernelspec({ prefix: folder });
    expect(written).toBe(join(folder, "share", "jupyter", "kernels", "tunebook"));
    const spec = JSON.parse(readFileSync(join(written, "kernel.json"), "utf8")) as Record<string, unknown>;
    expect(spec).toMatchObject({
      display_name: "TypeScript (Tunebook)",
      language: "typescript",
      interrupt_mode: "message",
    });
    const [node, cli, command, file] = spec.argv as string[];
    expect([node, command, file]).toEqual([process.execPath, "run", "{connection_file}"]);
    expect(cli).toMatch(/^\/.*\/cli\.js$/);
    expect(existsSync(join(written, "logo-svg.svg"))).toBe(true);
    // The width and height in the header of a PNG.
    const png = readFileSync(join(written, "logo-64x64.png"));
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([64, 64]);
  });

  test("--sys-prefix goes into the active environment, --user where Jupyter says", () => {
    vi.stubEnv("VIRTUAL_ENV", join(folder, "venv"));
    vi.stubEnv("JUPYTER_DATA_DIR", join(folder, "data"));
    expect(installKernelspec({ sysPrefix: true })).toBe(join(folder, "venv/share/jupyter/kernels/tunebook"));
    expect(installKernelspec({ user: true })).toBe(join(folder, "data/kernels/tunebook"));
  });

  test("two places at once are refused", () => {
    expect(() => installKernelspec({ user: true, prefix: folder })).toThrow(
      "install: expected one of --sys-prefix, --user and --prefix, got several",
    );
  });
});

describe("history", () => {
  const history = new History(undefined);
  history.add(1, "let a = 1", null);
  history.add(2, "a * 2", "2");
  history.add(3, "let b = [a]", null);
  history.add(4, "a * 2", "2");
  const lines = (request: Record<string, unknown>) =>
    (history.answer(request).history as unknown[][]).map(([, line]) => line);

  test.each([
    ["the last two", { hist_access_type: "tail", n: 2 }, [3, 4]],
    ["none", { hist_access_type: "tail", n: 0 }, []],
    ["a range without its end", { hist_access_type: "range", session: 0, start: 2, stop: 4 }, [2, 3]],
    ["another session", { hist_access_type: "range", session: -1 }, []],
    ["a pattern", { hist_access_type: "search", pattern: "let ?*" }, [1, 3]],
    ["brackets are plain text", { hist_access_type: "search", pattern: "*[a]" }, [3]],
    ["each once, the last of its kind", { hist_access_type: "search", pattern: "*", unique: true }, [1, 3, 4]],
    ["the last match", { hist_access_type: "search", pattern: "a*", n: 1 }, [4]],
  ])("%s", (_, request, expected) => {
    expect(lines(request)).toEqual(expected);
  });

  test("with output, a pair of input and output", () => {
    expect(history.answer({ hist_access_type: "tail", n: 1, output: true }).history).toEqual([[1, 4, ["a * 2", "2"]]]);
  });
});

test("the kernel's Host is the one the library asks for", () => {
  const host: Host = createHost(new Comms(() => undefined), () => undefined);
  expect(hostKey).toBe(hostKeyOfLibrary);
  expect(host.cellSignal()).toBe(undefined);
  expect(() => host.display({ "text/plain": "x" }, { update: true })).toThrow(
    "display: expected `displayId` with `update: true`, got none",
  );
});
