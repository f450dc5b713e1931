import { tableFromIPC } from "apache-arrow";
import { describe, expect, test } from "vitest";
import type { TrainEvent } from "../../src/train/events.js";
import { Channel } from "../../src/widgets/channel.js";
import { emptyRun, foldRuns } from "../../src/widgets/state.js";
import { decodeEvents, type EventsReply, encodeEvents, parseRequest } from "../../src/widgets/wire.js";
import { type Message, ScriptedHost } from "./scripted-host.js";
import { planned, ScriptedRun, skipped, updated } from "./scripted-run.js";

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function eventsIn(messages: readonly Message[]): TrainEvent[] {
  return messages
    .filter(({ data }) => data["kind"] === "events")
    .flatMap(({ data, buffers }) => decodeEvents(data as unknown as EventsReply, buffers));
}

function setUp(id = "r1") {
  const host = new ScriptedHost();
  const channel = new Channel(host);
  const run = new ScriptedRun(id);
  channel.add(run);
  return { host, channel, run, open: (runId = id) => host.open("tunebook.run", { runId }) };
}

describe("events on the wire", () => {
  const mixed: TrainEvent[] = [
    planned(),
    updated(1, 2.123456789012345),
    updated(2, Number.NaN),
    { kind: "evaluated", update: 2, seconds: 1, loss: 1.5, trainedTokens: 5 },
    updated(3, Number.POSITIVE_INFINITY, { activations: 1 }),
    updated(4, 1, { activations: 1 }),
    { kind: "stopped", update: 4, seconds: 2, reason: "finished" },
  ];

  test("arrive as they were, in order, to the last digit, NaN and infinity included", () => {
    const { reply, buffers } = encodeEvents(mixed, 7);
    const sent = JSON.parse(JSON.stringify(reply)) as EventsReply;
    expect(sent).toMatchObject({ kind: "events", from: 7, count: 7 });
    expect(decodeEvents(sent, buffers)).toEqual(mixed);
  });

  test("the loss scale of a run in f16 and its skipped updates arrive too", () => {
    const events: TrainEvent[] = [
      { ...updated(1, 2), kind: "updated", lossScale: 65536 } as TrainEvent,
      skipped(1, 131072),
      { ...updated(2, 1), kind: "updated", lossScale: 65536 } as TrainEvent,
    ];
    const { reply, buffers } = encodeEvents(events, 0);
    expect(decodeEvents(JSON.parse(JSON.stringify(reply)) as EventsReply, buffers)).toEqual(events);
  });

  test("numbers travel as one Arrow record batch that any Arrow reader reads", () => {
    const { reply, buffers } = encodeEvents(mixed, 0);
    expect(buffers).toHaveLength(1);
    const table = tableFromIPC(buffers[0]!);
    expect(table.batches).toHaveLength(1);
    expect([...table.getChild("loss")!]).toEqual([2.123456789012345, Number.NaN, Number.POSITIVE_INFINITY, 1]);
    expect(reply.json.map((event) => event.kind)).toEqual(["planned", "evaluated", "stopped"]);
    expect(encodeEvents([planned()], 0).buffers).toEqual([]);
  });

  test("a buffer that does not fit its header is refused", () => {
    const { reply } = encodeEvents(mixed, 0);
    expect(() => decodeEvents(reply, [])).toThrow("events: expected 7, got 0 rows and 3 others");
  });

  test("10,000 updates fit in a megabyte", () => {
    const { buffers } = encodeEvents(
      Array.from({ length: 10_000 }, (_, i) => updated(i + 1, 1)),
      0,
    );
    expect(buffers[0]!.length).toBeLessThan(1_000_000);
  });
});

describe("requests", () => {
  test.each([
    [null, "expected a request"],
    [{ kind: "explode" }, 'got {"kind":"explode"}'],
    [{ kind: "state", since: -1 }, "expected `since` to be the number of an event, got -1"],
    [{ kind: "set", controls: { learningRate: "3" } }, 'expected `learningRate` to be a number above 0, got "3"'],
    [{ kind: "set", controls: { learningRate: 0 } }, "above 0, got 0"],
    [{ kind: "set", controls: { rank: 4 } }, "there is no control `rank`"],
    [{ kind: "set" }, "expected controls such as"],
  ])("%j is refused", (data, message) => {
    expect(() => parseRequest(data)).toThrow(message);
  });
});

describe("a view", () => {
  test("gets the whole run so far and then what is new, at most ten messages a second", async () => {
    const { run, open } = setUp();
    run.push(planned(500), ...Array.from({ length: 50 }, (_, i) => updated(i + 1, 2)));
    const view = open();
    view.say({ kind: "state", since: 0 });
    for (let i = 50; i < 130; i++) {
      run.push(updated(i + 1, 1));
      await wait(10);
    }
    await wait(150);
    const times = view.received.map(({ at }) => at);
    expect(eventsIn(view.received)).toEqual(run.events);
    expect(times.length).toBeGreaterThan(4);
    for (let i = 1; i < times.length; i++) expect(times[i]! - times[i - 1]!).toBeGreaterThan(95);
  });

  test("that comes back after a reload, or beside another, sees the same run", async () => {
    const { run, open } = setUp();
    run.push(planned(), updated(1, 2), updated(2, 1.5));
    const first = open();
    first.say({ kind: "state", since: 0 });
    await wait(20);
    first.close();
    run.push(updated(3, 1.25));
    const [second, third] = [open(), open()];
    second.say({ kind: "state", since: 0 });
    third.say({ kind: "state", since: 2 });
    await wait(20);
    const folded = foldRuns(emptyRun("r1"), run.events);
    expect(foldRuns(emptyRun("r1"), eventsIn(second.received))).toEqual(folded);
    expect(eventsIn(third.received)).toEqual(run.events.slice(2));
    expect(eventsIn(first.received)).toHaveLength(3);
  });

  test("gets a long run in pieces", async () => {
    const { run, open } = setUp();
    run.push(...Array.from({ length: 9000 }, (_, i) => updated(i + 1, 1)));
    const view = open();
    view.say({ kind: "state", since: 0 });
    await wait(450);
    expect(view.received.map(({ data }) => data["count"])).toEqual([4000, 4000, 1000]);
    expect(eventsIn(view.received)).toHaveLength(9000);
  });

  test("is told when the run is not known here", () => {
    const { open } = setUp();
    const view = open("other");
    expect(view.received[0]!.data).toEqual({ kind: "unknown", runId: "other" });
    view.say({ kind: "state", since: 0 });
    expect(view.received).toHaveLength(2);
  });

  test("moves the controls of the run", async () => {
    const { run, open } = setUp();
    run.push(planned());
    const view = open();
    for (const kind of ["pause", "resume", "save", "stop"]) view.say({ kind });
    view.say({ kind: "set", controls: { learningRate: 1e-4 } });
    await wait(5);
    expect(run.calls).toEqual(["pause", "resume", "save", "stop", 'set {"learningRate":0.0001}']);
    expect(view.received).toEqual([]);
  });

  test("is answered when a control is refused, by us or by the run, and the run goes on", async () => {
    const { run, open } = setUp();
    run.push(planned());
    const view = open();
    view.say({ kind: "set", controls: { learningRate: -1 } });
    view.say({ kind: "sample" });
    view.say("nonsense");
    await wait(5);
    expect(view.received.map(({ data }) => data)).toEqual([
      { kind: "error", request: "message", message: "set: expected `learningRate` to be a number above 0, got -1" },
      { kind: "error", request: "message", message: expect.stringContaining('got "nonsense"') },
      { kind: "error", request: "sample", message: "sample: the run has no prompts" },
    ]);
    expect(run.calls).toEqual(["sample"]);
  });

  test("of a run that has ended still gets its events and its picture, but no controls", async () => {
    const { run, open } = setUp();
    run.push(planned(), updated(1, 2), { kind: "stopped", update: 1, seconds: 1, reason: "finished" });
    await wait(5);
    const view = open();
    view.say({ kind: "state", since: 0 });
    view.say({ kind: "pause" });
    view.say({ kind: "picture" });
    await expect.poll(() => view.received.length, { timeout: 10_000 }).toBe(3);
    const kinds = Object.fromEntries(view.received.map(({ data }) => [data["kind"], data]));
    expect(kinds["error"]).toMatchObject({ message: "run r1 has ended; there is nothing left to pause" });
    expect(eventsIn(view.received)).toEqual(run.events);
    expect(Object.keys(kinds["picture"]!["data"] as object)).toContain("image/png");
  });
});

test("events of ended runs are kept for twenty runs, of running ones always", async () => {
  const { host, channel, open } = setUp("first-and-running");
  for (let i = 0; i < 25; i++) {
    const run = new ScriptedRun(`ended-${i}`);
    run.push(planned(1, run.id), { kind: "stopped", update: 0, seconds: 0, reason: "finished" });
    channel.add(run);
    await wait(1);
  }
  channel.add(new ScriptedRun("last"));
  expect(open("first-and-running").received).toEqual([]);
  expect(host.open("tunebook.run", { runId: "ended-0" }).received[0]!.data).toMatchObject({ kind: "unknown" });
  expect(host.open("tunebook.run", { runId: "ended-24" }).received).toEqual([]);
});
