import { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Host, hostKey } from "../../src/widgets/host.js";
import { findPlace } from "../../src/widgets/hosts.js";
import { show } from "../../src/widgets/show.js";
import { emptyRun, foldRuns, type RunState } from "../../src/widgets/state.js";
import { showComparison } from "../../src/widgets/table.js";
import { progressLine, terminalDrawer } from "../../src/widgets/terminal.js";
import { ScriptedHost } from "./scripted-host.js";
import { planned, ScriptedRun, updated } from "./scripted-run.js";

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const finished = (update: number) => ({ kind: "stopped", update, seconds: 9, reason: "finished" }) as const;

function stateIn(bundle: Readonly<Record<string, unknown>>): RunState {
  return (bundle["application/vnd.tunebook.run.v1+json"] as { state: RunState }).state;
}

describe("in our kernel", () => {
  let host: ScriptedHost;
  beforeEach(() => {
    host = new ScriptedHost();
    (globalThis as { [hostKey]?: Host })[hostKey] = host;
  });
  afterEach(() => {
    delete (globalThis as { [hostKey]?: Host })[hostKey];
  });

  test("one output is redrawn in place, not at every update, and the last picture has everything and a PNG", async () => {
    const run = new ScriptedRun("r1");
    const shown = show(run, { everyMs: 50 });
    run.push(planned(40));
    for (let i = 1; i <= 40; i++) {
      run.push(updated(i, 2 - i / 40));
      await wait(5);
    }
    run.push(finished(40));
    await shown;
    const { displayed } = host;
    expect(displayed.length).toBeGreaterThan(3);
    expect(displayed.length).toBeLessThan(15);
    expect(displayed.map(({ options }) => options.update)).toEqual(displayed.map((_, i) => i > 0));
    expect(new Set(displayed.map(({ options }) => options.displayId)).size).toBe(1);
    expect(Object.keys(displayed[0]!.bundle)).not.toContain("image/png");
    expect(Object.keys(displayed.at(-1)!.bundle)).toContain("image/png");
    expect(stateIn(displayed.at(-1)!.bundle)).toMatchObject({ status: "finished", update: 40, series: { seen: 40 } });
  });

  test("the run is known to views that open a comm with its id", async () => {
    const run = new ScriptedRun("r2");
    const shown = show(run);
    run.push(planned());
    host.open("tunebook.run", { runId: "r2" }).say({ kind: "pause" });
    await wait(5);
    expect(run.calls).toEqual(["pause"]);
    run.push(finished(0));
    await shown;
  });

  test("a run that failed fails the cell, after its last picture", async () => {
    const run = new ScriptedRun();
    const shown = show(run);
    run.push(planned(), updated(1, 2), {
      kind: "failed",
      update: 1,
      seconds: 1,
      message: "the loss is NaN at update 2",
    });
    await expect(shown).rejects.toThrow("the loss is NaN at update 2");
    expect(stateIn(host.displayed.at(-1)!.bundle)).toMatchObject({
      status: "failed",
      reason: "the loss is NaN at update 2",
    });
  });

  test("an interrupted cell stops looking; a run of another cell goes on", async () => {
    const run = new ScriptedRun();
    const shown = show(run);
    run.push(planned(), updated(1, 2));
    await wait(5);
    host.abort.abort(new Error("interrupted"));
    await expect(shown).rejects.toThrow("interrupted");
    const drawn = host.displayed.length;
    expect(stateIn(host.displayed.at(-1)!.bundle)).toMatchObject({ status: "running", update: 1 });
    run.push(updated(2, 1), finished(2));
    await wait(30);
    expect(host.displayed.length).toBe(drawn);
  });

  test("an interrupt that stops the run too ends with the picture of a stopped run", async () => {
    const run = new ScriptedRun();
    const shown = show(run);
    run.push(planned(), updated(1, 2));
    host.abort.signal.addEventListener("abort", () =>
      setTimeout(() => run.push({ kind: "stopped", update: 1, seconds: 1, reason: "aborted" }), 50),
    );
    host.abort.abort();
    await shown;
    expect(stateIn(host.displayed.at(-1)!.bundle)).toMatchObject({ status: "stopped", reason: "aborted" });
  });

  test("a kernel that cannot draw is an error of the cell, not silence", async () => {
    const run = new ScriptedRun();
    host.display = () => {
      throw new Error("no output here");
    };
    const shown = show(run);
    run.push(planned());
    await expect(shown).rejects.toThrow("no output here");
  });

  test("a comparison is a table with its text twin", () => {
    showComparison([{ prompt: "p", base: "one", tuned: "二" }]);
    expect(host.displayed[0]!.bundle["text/html"]).toContain("<td");
    expect(host.displayed[0]!.bundle["text/plain"]).toBe("prompt | base | tuned\np | one | 二");
  });
});

describe("in a tslab kernel", () => {
  afterEach(() => {
    delete (globalThis as { __tslab__?: unknown }).__tslab__;
  });

  test("one display is drawn over and over as SVG, the only MIME type of a message", async () => {
    const displays: string[][] = [];
    const newDisplay = () => {
      const calls: string[] = [];
      displays.push(calls);
      return {
        raw: (mime: string, data: string) => calls.push(`${mime} ${/status|finished|running/.exec(data)?.[0]}`),
      };
    };
    (globalThis as { __tslab__?: unknown }).__tslab__ = {
      require: (name: string) => (name === "tslab" ? { newDisplay } : {}),
    };
    expect(findPlace().kind).toBe("tslab");
    const run = new ScriptedRun();
    const shown = show(run, { everyMs: 10 });
    run.push(planned(), updated(1, 2));
    await wait(30);
    run.push(finished(1));
    await shown;
    expect(displays).toHaveLength(1);
    expect(displays[0]!.at(-1)).toBe("image/svg+xml finished");
    expect(displays[0]!.every((call) => call.startsWith("image/svg+xml"))).toBe(true);
  });
});

describe("in a terminal", () => {
  class Screen extends Writable {
    text = "";
    constructor(readonly isTTY: boolean) {
      super({
        write: (chunk, _, done) => {
          this.text += String(chunk);
          done();
        },
      });
    }
    cursorTo() {}
    clearLine() {}
    moveCursor() {}
    get columns() {
      return 120;
    }
  }
  const state = foldRuns(emptyRun(), [planned(10), updated(1, 2.5), updated(2, 1.5), updated(3, 1.25)]);

  test("a line says where the run is", () => {
    expect(progressLine(state)).toBe("update 3/10  loss 1.250  440 tokens/s  19.5 MiB  about 3.5 s left");
    expect(progressLine(emptyRun())).toBe("update 0/?");
  });

  test("a log gets a line every five seconds of the run and the sentence at the end", async () => {
    const screen = new Screen(false);
    const drawer = terminalDrawer(screen as unknown as NodeJS.WriteStream);
    for (let seconds = 0; seconds < 12; seconds++) drawer.draw({ ...state, seconds });
    await drawer.last(foldRuns(state, [finished(3)]));
    expect(screen.text.split("\n").filter((line) => line.startsWith("update 3/10"))).toHaveLength(3);
    expect(screen.text.trimEnd().split("\n").at(-1)).toMatch(/^Run r1 finished: loss 2.500 -> 1.250 over 3 updates/);
  });

  test("a terminal gets a bar", async () => {
    const screen = new Screen(true);
    const drawer = terminalDrawer(screen as unknown as NodeJS.WriteStream);
    drawer.draw(state);
    await drawer.last(state);
    expect(screen.text).toMatch(/[█░]+ 30%/);
    expect(screen.text).toContain("Run r1 is running at update 3 of 10");
  });

  test("show finds it where there is no notebook, and keeps stdout clean", async () => {
    const out = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    const error = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    try {
      const run = new ScriptedRun();
      const shown = show(run);
      run.push(planned(), updated(1, 2), finished(1));
      await shown;
      expect(error.mock.calls.map(([text]) => text).join("")).toContain("Run r1 finished");
      expect(out).not.toHaveBeenCalled();
    } finally {
      out.mockRestore();
      error.mockRestore();
    }
  });
});
