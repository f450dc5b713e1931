// One row, followed from a line of a file to the picture in a notebook, with the value at each arrow. Read it beside src/README.md.
// Expected values are worked by hand, by finite differences or by the definition of AdamW; the model is random, of two layers.

import { writeFileSync } from "node:fs";
import path from "node:path";
import { tableFromIPC } from "apache-arrow";
import { describe, expect, test } from "vitest";
import { attachLora } from "../src/adapter/index.js";
import { type Row, readRows } from "../src/data/index.js";
import { IGNORED } from "../src/engine/index.js";
import { referenceDevice } from "../src/engine/reference/index.js";
import type { Model } from "../src/model/index.js";
import { applyTemplate, type Batch, batches, type Encoded } from "../src/tokens/index.js";
import { type TrainEvent, train } from "../src/train/index.js";
import {
  bundleOf,
  decodeEvents,
  emptyRun,
  encodeEvents,
  foldRuns,
  RUN_MIME,
  type RunState,
} from "../src/widgets/index.js";
import { expectClose } from "./close.js";
import { forward, type LabelledRow } from "./golden/forward.js";
import { letters, tinyModel } from "./model/tiny.js";
import { temporaryFolder } from "./train/tiny-run.js";

const line = '{"instruction":"ab","output":"c"}';
const learningRate = 0.01;
/** The adapter tensor that is looked at: B of the first layer's query projection, 16 x 2. */
const looked = "model.layers.0.self_attn.q_proj.lora_B.weight";

/** What each arrow makes, for the next one. */
const made = {} as {
  row: Row;
  encoded: Encoded;
  batch: Batch;
  model: Model;
  loss: number;
  gradient: Float32Array;
  events: readonly TrainEvent[];
  state: RunState;
};

const labelled = (): LabelledRow => ({ ids: made.encoded.ids, labels: [...made.batch.labels.subarray(0, 5)] });

describe("one row", () => {
  test("line -> readRows -> Row", async () => {
    const file = path.join(temporaryFolder(), "one.jsonl");
    writeFileSync(file, `${line}\n`);
    const found: Row[] = [];
    for await (const row of readRows(file)) found.push(row);
    expect(found).toEqual([{ kind: "instruction", instruction: "ab", output: "c" }]);
    made.row = found[0] as Row;
  });

  test("Row -> applyTemplate -> ids, and which of them teach: the answer and the end mark", () => {
    made.encoded = applyTemplate(made.row, letters, { template: "none" });
    // Begin, a, b, c, end: a letter's id is 3 + code % 21, and 97 % 21 is 13.
    expect(made.encoded.ids).toEqual([1, 16, 17, 18, 2]);
    expect(made.encoded.trained).toEqual([false, false, false, true, true]);
  });

  test("ids -> batches -> tokens, labels shifted by one, what each token sees", () => {
    const [batch] = batches([made.encoded], { batchSize: 1, pad: 0, multipleOf: 8 });
    made.batch = batch as Batch;
    expect([...made.batch.tokens]).toEqual([1, 16, 17, 18, 2, 0, 0, 0]);
    const no = IGNORED;
    expect([...made.batch.labels]).toEqual([no, no, 18, 2, no, no, no, no]); // b must predict c, c the end
    expect([...made.batch.ranges]).toEqual([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0, 0, 0, 0, 0]);
    expect(made.batch).toMatchObject({ tokenCount: 5, trainedCount: 2 });
  });

  test("tokens -> forward -> a score for each token of the vocabulary -> loss, the mean surprise in nats", async () => {
    const base = await tinyModel(referenceDevice({ exact: true }));
    made.model = await attachLora(base, { rank: 2, alpha: 4 });
    const { logits, loss } = await forward(made.model, [labelled()]);
    const scores = logits[0] as Float32Array;
    expect(scores).toHaveLength(5 * 24);
    const surprise = (position: number, next: number) => {
      const row = [...scores.subarray(position * 24, (position + 1) * 24)];
      return Math.log(row.reduce((sum, score) => sum + Math.exp(score), 0)) - (row[next] as number);
    };
    expectClose(loss, (surprise(2, 18) + surprise(3, 2)) / 2, { absolute: 1e-6 });
    made.loss = loss;

    const untouched = await forward(base, [labelled()]);
    expectClose(untouched.logits[0] as Float32Array, scores, {}, "a fresh adapter changes nothing");
  });

  test("loss -> gradients of the trained tensors alone, equal to central differences", async () => {
    const { model } = made;
    const { gradients } = await forward(model, [labelled()]);
    expect([...gradients.keys()].every((name) => name.includes("lora_"))).toBe(true);
    made.gradient = gradients.get(looked) as Float32Array;
    const start = (await model.trained?.read(looked)) as Float32Array;
    expect([...start].every((value) => value === 0)).toBe(true); // B starts at zero
    const step = 2 ** -7;
    const slopes: number[] = [];
    for (let i = 0; i < start.length; i++) {
      const losses: number[] = [];
      for (const side of [step, -step]) {
        await model.trained?.write(
          looked,
          start.map((value, at) => (at === i ? value + side : value)),
        );
        losses.push((await forward(model, [labelled()])).loss);
      }
      slopes.push(((losses[0] as number) - (losses[1] as number)) / (2 * step));
    }
    await model.trained?.write(looked, start);
    expectClose(made.gradient, slopes, { absolute: 3e-5, relative: 1e-3 }, "gradient");
    expect(Math.max(...made.gradient.map(Math.abs))).toBeGreaterThan(1e-3);
  });

  test("gradients -> one update: the first step of AdamW moves each number by the learning rate, against its gradient", async () => {
    const run = train(made.model, {
      data: [made.row],
      template: "none",
      maxTokens: 16,
      batchSize: 1,
      maxSteps: 1,
      learningRate,
      scheduler: "constant",
      outputFolder: path.join(temporaryFolder(), "run"),
    });
    await run.finished;
    made.events = run.events;
    const after = (await made.model.trained?.read(looked)) as Float32Array;
    const steep = [...made.gradient.keys()].filter((i) => Math.abs(made.gradient[i] as number) > 1e-4);
    expect(steep.length).toBeGreaterThan(16);
    expectClose(
      steep.map((i) => after[i] as number),
      steep.map((i) => -learningRate * Math.sign(made.gradient[i] as number)),
      { relative: 1e-2 },
      "B after the update",
    );
    const { loss } = await forward(made.model, [labelled()]);
    expect(loss).toBeLessThan(made.loss);
  });

  test("update -> TrainEvent, with the loss before it", () => {
    expect(made.events.map(({ kind }) => kind)).toEqual(["planned", "checked", "updated", "saved", "saved", "stopped"]);
    const updated = made.events.find((event) => event.kind === "updated");
    expect(updated).toMatchObject({ update: 1, tokens: 5, trainedTokens: 2, learningRate, epoch: 1 });
    expectClose(updated?.loss, made.loss, { absolute: 1e-6 });
  });

  test("TrainEvent -> foldRun -> what a chart shows", () => {
    made.state = foldRuns(emptyRun(), made.events);
    expect(made.state).toMatchObject({ status: "finished", update: 1, plan: { updates: 1, rows: 1 } });
    expect(made.state.series.update).toEqual([1]);
    expectClose(made.state.series.loss[0] as number, made.loss, { absolute: 1e-6 });
  });

  test("chart -> MIME bundle: state for the widget, a picture, a sentence", () => {
    const { data } = bundleOf(made.state);
    expect(Object.keys(data)).toEqual([RUN_MIME, "image/svg+xml", "text/plain"]);
    expect(data[RUN_MIME]).toMatchObject({ runId: made.state.runId, state: { status: "finished" } });
    expect(data["image/svg+xml"]).toContain("<svg");
    expect(data["text/plain"]).toContain(`loss ${made.loss.toFixed(3)}`);
  });

  test("events -> Arrow record batch -> comm -> the same events on the other side", () => {
    const { reply, buffers } = encodeEvents(made.events, 0);
    expect(buffers).toHaveLength(1);
    const table = tableFromIPC(buffers[0] as Uint8Array);
    expect(table.numRows).toBe(1);
    expectClose(table.getChild("loss")?.get(0) as number, made.loss, { absolute: 1e-6 });
    expect(decodeEvents(JSON.parse(JSON.stringify(reply)) as typeof reply, buffers)).toEqual(made.events);
  });
});
