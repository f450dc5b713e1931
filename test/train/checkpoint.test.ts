// Checkpoints are whole or not there, and only the run that wrote one goes on from it.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { findCheckpoint, type TrainOptions, train } from "../../src/train/index.js";
import { backwards, eventsOf, refusalOf, temporaryFolder, tinyLora, tinyOptions, trainTiny } from "./tiny-run.js";

const adapterBytes = (folder: string) => readFileSync(path.join(folder, "adapter", "adapter_model.safetensors"));

describe("checkpoints", () => {
  test("are written every saveSteps and at the end; the newest two stay", async () => {
    const run = await trainTiny(await tinyLora(), { maxSteps: 7, saveSteps: 2 });
    expect(eventsOf(run, "saved").map(({ what, update }) => `${what} ${update}`)).toEqual([
      "checkpoint 2",
      "checkpoint 4",
      "checkpoint 6",
      "checkpoint 7",
      "adapter 7",
    ]);
    expect(readdirSync(path.join(run.folder, "checkpoints")).sort()).toEqual(["step-6", "step-7"]);
  });

  test("that were not renamed into place are not found, and are removed by the next", async () => {
    const outputFolder = path.join(temporaryFolder(), "run");
    mkdirSync(path.join(outputFolder, "checkpoints", ".step-9-1"), { recursive: true });
    expect(await findCheckpoint(outputFolder)).toBeUndefined();
    await trainTiny(await tinyLora(), { outputFolder, resume: true, maxSteps: 1 });
    expect(readdirSync(path.join(outputFolder, "checkpoints"))).toEqual(["step-1"]);
  });
});

describe("resume", () => {
  /** A run that is stopped after its second update, and what it would have become. */
  async function stopped(options: Partial<TrainOptions> = {}) {
    const shared = {
      maxSteps: 6,
      saveSteps: 1,
      scheduler: "cosine",
      gradientAccumulationSteps: 2,
      ...options,
    } as const;
    const whole = await trainTiny(await tinyLora({ dropout: 0.1 }), shared);
    const first = train(await tinyLora({ dropout: 0.1 }), tinyOptions(shared));
    for await (const event of first) if (event.kind === "updated" && event.update === 2) void first.stop();
    return { shared: { ...shared, outputFolder: first.folder }, whole, first };
  }

  test("gives the adapter of the uninterrupted run, byte for byte, and the whole story of events", async () => {
    const { shared, whole, first } = await stopped();
    const second = await trainTiny(await tinyLora({ dropout: 0.1 }), { ...shared, resume: true });
    expect(second.id).toBe(first.id);
    expect(adapterBytes(second.folder)).toEqual(adapterBytes(whole.folder));
    const losses = (run: typeof whole) => eventsOf(run, "updated").map(({ update, loss }) => [update, loss]);
    expect(losses(second)).toEqual(losses(whole));
    expect(eventsOf(second, "stopped").map(({ reason }) => reason)).toEqual(["finished"]);
    const seconds = second.events.map((event) => event.seconds);
    expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
    expect((await second.finished).firstLoss).toBe((await whole.finished).firstLoss);
  });

  test("keeps a learning rate that was set while it ran", async () => {
    const shared = { maxSteps: 4, saveSteps: 2, scheduler: "constant" } as const;
    const first = train(await tinyLora(), tinyOptions(shared));
    first.set({ learningRate: 0.005 });
    for await (const event of first) if (event.kind === "updated" && event.update === 2) void first.stop();
    const second = await trainTiny(await tinyLora(), { ...shared, outputFolder: first.folder, resume: true });
    expect(eventsOf(second, "updated").map(({ learningRate }) => learningRate)).toEqual([0.005, 0.005, 0.005, 0.005]);
  });

  test("with other options, rows or model is refused, naming what differs", async () => {
    const { shared, first } = await stopped();
    const folder = path.join(first.folder, "checkpoints");
    const refused = async (options: Partial<TrainOptions>, lora = {}) => {
      const model = await tinyLora({ dropout: 0.1, ...lora });
      return (await refusalOf(train(model, tinyOptions({ ...shared, resume: true, ...options })).finished)).replaceAll(
        folder,
        "",
      );
    };
    expect(await refused({ learningRate: 0.5 })).toMatch(
      /^train: cannot go on from \/step-\d+: `learningRate` was 0\.01 and is now 0\.5; use the same value, or start a new run from the saved adapter$/,
    );
    expect(await refused({ data: backwards.slice(1) })).toMatch(
      /^train: cannot go on from \/step-\d+: the rows or their tokens are not those it was trained on; start a new run from the saved adapter$/,
    );
    // Two layers of 2 * ((16 + 16) * 2 + (16 + 8) * 2 + (16 + 24) * 3) numbers at rank 2.
    expect(await refused({}, { rank: 4 })).toMatch(/`trainedParameters` was 928 and is now 1856;/);
  });

  test("from a folder without a checkpoint is refused when it is named, and starts at the beginning with true", async () => {
    const folder = temporaryFolder();
    const run = train(await tinyLora(), tinyOptions({ resume: folder }));
    expect(await refusalOf(run.finished)).toBe(
      `train: ${folder} holds no checkpoint to resume from; expected the folder of a run or of one checkpoint`,
    );
    const anew = await trainTiny(await tinyLora(), { resume: true, maxSteps: 1 });
    expect(eventsOf(anew, "updated").length).toBe(1);
  });

  test("from a checkpoint whose state is no JSON is refused, naming the file", async () => {
    const { shared, first } = await stopped();
    const [newest] = readdirSync(path.join(first.folder, "checkpoints")).sort().reverse();
    const file = path.join(first.folder, "checkpoints", newest as string, "state.json");
    writeFileSync(file, "{");
    const run = train(await tinyLora({ dropout: 0.1 }), tinyOptions({ ...shared, resume: true }));
    expect(await refusalOf(run.finished)).toMatch(`${file}: expected the state of a run: `);
  });
});
