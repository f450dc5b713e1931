// Events on disk and to readers.

import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { readEvents, type TrainEvent } from "../../src/train/index.js";
import { EventLog } from "../../src/train/log.js";
import { refusalOf, temporaryFolder } from "./tiny-run.js";

const event = (update: number): TrainEvent => ({
  kind: "failed",
  update,
  seconds: update / 2,
  message: `no. ${update}`,
});

describe("events.jsonl", () => {
  test("has one line per event, those told before it was opened first", async () => {
    const file = path.join(temporaryFolder(), "events.jsonl");
    const log = new EventLog([event(1)]);
    log.add(event(2));
    await log.openFile(file);
    log.add(event(3));
    log.add(event(4));
    await log.end();
    expect(await readEvents(file)).toEqual([1, 2, 3, 4].map(event));
    expect(readFileSync(file, "utf8").split("\n").length).toBe(5);
  });

  test("whose last line was cut off gives the lines before it", async () => {
    const file = path.join(temporaryFolder(), "events.jsonl");
    writeFileSync(file, [1, 2].map((update) => `${JSON.stringify(event(update))}\n`).join(""));
    appendFileSync(file, JSON.stringify(event(3)).slice(0, 20));
    expect(await readEvents(file)).toEqual([1, 2].map(event));
  });

  test("with another line that is no event is refused, naming it", async () => {
    const file = path.join(temporaryFolder(), "events.jsonl");
    writeFileSync(file, `${JSON.stringify(event(1))}\nnonsense\n`);
    expect(await refusalOf(readEvents(file))).toBe(`${file}:2: expected one event as JSON, got "nonsense"`);
  });
});

test("readers wait for events, end with the log, and are told of its failure after the last event", async () => {
  const log = new EventLog();
  const read = async () => {
    const updates: number[] = [];
    for await (const { update } of log) updates.push(update);
    return updates;
  };
  const [first, second] = [read(), read()];
  log.add(event(1));
  await new Promise(setImmediate);
  log.add(event(2));
  await log.end();
  expect([await first, await second, await read()]).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  const failed = new EventLog();
  failed.add(event(1));
  await failed.end(new Error("it broke"));
  const seen: number[] = [];
  const reading = async () => {
    for await (const { update } of failed) seen.push(update);
  };
  expect(await refusalOf(reading())).toBe("it broke");
  expect(seen).toEqual([1]);
});
