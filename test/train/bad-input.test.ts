// What a run refuses, in which words, and that nothing half-written is left behind.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { train } from "../../src/train/index.js";
import { seededValues, tinyModel } from "../model/tiny.js";
import { backwards, eventsOf, refusalOf, tinyLora, tinyOptions } from "./tiny-run.js";

describe("data", () => {
  test("without rows is refused", async () => {
    const run = train(await tinyLora(), tinyOptions({ data: [] }));
    expect(await refusalOf(run.finished)).toBe("rows: it holds no rows");
    expect(run.events.map(({ kind }) => kind)).toEqual(["failed"]);
  });

  test("whose every label is masked is refused, naming the first row", async () => {
    const data = ["abcdefghijklmnop", "abcdefghijklmnopq"].map((instruction) => ({ instruction, output: "a" }));
    const run = train(await tinyLora(), tinyOptions({ data: data as never }));
    expect(await refusalOf(run.finished)).toBe(
      "train: every label of the data is masked: row 0 and the 1 others have no trained token within maxTokens 16; " +
        "raise maxTokens, or check that the rows have an output",
    );
    expect(existsSync(path.join(run.folder, "adapter"))).toBe(false);
  });

  test("whose row lacks a field is refused by the reader, naming the row", async () => {
    const run = train(
      await tinyLora(),
      tinyOptions({ data: [{ instruction: "a", output: "b" }, { instruction: "a" }] as never }),
    );
    expect(await refusalOf(run.finished)).toMatch(/^rows: row 1: /);
  });

  test("that cannot be split for validation is refused", async () => {
    const same = [backwards[0], backwards[0]] as never;
    const run = train(await tinyLora(), tinyOptions({ data: same, validation: 0.5 }));
    expect(await refusalOf(run.finished)).toBe(
      "train: `validation` 0.5 needs rows that differ: 2 usable rows with one content cannot be split",
    );
  });
});

describe("a model", () => {
  test("of which nothing trains is refused", async () => {
    const base = await tinyModel(referenceDevice());
    expect(() => train(base, tinyOptions())).toThrow(
      'train: nothing of "tiny" trains; attach an adapter (attachLora) or train all of it (trainFully)',
    );
  });

  test("whose context is shorter than maxTokens is refused", async () => {
    const model = await tinyLora();
    expect(() => train(model, tinyOptions({ maxTokens: 33 }))).toThrow(
      'train: expected `maxTokens` to be at most 32, the context "tiny" was loaded with, got 33',
    );
  });

  test.each(["f32", "bf16", "f16"] as const)(
    "with a NaN among its base weights in %s fails before the first update, naming the weight, and saves nothing",
    async (dtype) => {
      const model = await tinyLora(
        {},
        {
          dtype,
          values(spec, at) {
            const values = seededValues(spec, at);
            if (spec.name === "model.layers.1.mlp.up_proj.weight") values[5] = Number.NaN;
            if (spec.name === "model.embed_tokens.weight") values[0] = Infinity; // of a token that no row has
            return values;
          },
        },
      );
      const run = train(model, tinyOptions());
      expect(await refusalOf(run.finished)).toBe(
        'train: refused before the first update: weights: the base weight "model.embed_tokens.weight" holds 1 infinity among 384 numbers, the first, Infinity, at 0; ' +
          '"model.layers.1.mlp.up_proj.weight" holds 1 NaN among 384 numbers, the first, NaN, at 5; load the model from a sound file',
      );
      expect(eventsOf(run, "checked")[0]?.findings).toContainEqual(
        expect.objectContaining({ check: "weights", verdict: "refused" }),
      );
      expect(existsSync(path.join(run.folder, "adapter"))).toBe(false);
      expect(existsSync(path.join(run.folder, "checkpoints"))).toBe(false);
    },
  );

  test("whose trained tensor becomes NaN in mid-run fails, naming it, and the last checkpoint stays", async () => {
    const model = await tinyLora();
    const name = "model.layers.0.self_attn.q_proj.lora_B.weight";
    const run = train(model, tinyOptions({ maxSteps: 1000, saveSteps: 1 }));
    const readers = (async () => {
      for await (const event of run) {
        if (event.kind !== "updated" || event.update !== 2) continue;
        const values = (await model.trained?.read(name)) as Float32Array;
        values[3] = Number.NaN;
        await model.trained?.write(name, values);
      }
    })();
    const message = await refusalOf(run.finished);
    expect(message).toMatch(
      /^train: the loss of update \d+ is NaN: trained tensor ".*" holds NaN at \d+; a lower learningRate may help\. /,
    );
    expect(message).toContain(`"${name}" holds NaN at 3`);
    expect(run.events.at(-1)).toMatchObject({ kind: "failed", message });
    expect(await refusalOf(readers)).toBe(message); // who reads the events is told too
    expect(existsSync(path.join(run.folder, "adapter"))).toBe(false);
    const last = eventsOf(run, "saved").at(-1)?.folder as string;
    expect(JSON.parse(readFileSync(path.join(last, "state.json"), "utf8")).update).toBeGreaterThanOrEqual(1);
  });

  test("that learned nothing is not saved as a success", async () => {
    const run = train(await tinyLora(), tinyOptions({ maxSteps: 1, warmupSteps: 10 })); // the first rate of a warm-up is 0
    expect(await refusalOf(run.finished)).toBe(
      "train: the run learned nothing: after 1 updates every trained tensor is as it was; nothing was saved, look at learningRate and warm-up",
    );
    expect(existsSync(path.join(run.folder, "adapter"))).toBe(false);
  });
});
