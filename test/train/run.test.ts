// What a run does and tells, on a model of a few hundred weights and the f64 reference device.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { loadAdapter } from "../../src/adapter/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import type { TrainedTensors } from "../../src/model/index.js";
import { readEvents, type TrainEvent, type TrainOptions, train } from "../../src/train/index.js";
import { expectClose } from "../close.js";
import { onEveryDevice } from "../engine/contract/devices.js";
import { backwards, eventsOf, refusalOf, temporaryFolder, tinyLora, tinyOptions, trainTiny } from "./tiny-run.js";

async function valuesOf(trained: TrainedTensors | undefined): Promise<number[]> {
  const all: number[] = [];
  for (const { name } of trained?.list ?? []) all.push(...((await trained?.read(name)) ?? []));
  return all;
}

describe("a run", () => {
  test("plans, checks, updates, saves and stops, in this order, and its folder says the same", async () => {
    const run = await trainTiny(await tinyLora(), { maxSteps: 3 });
    const kinds = ["planned", "checked", "updated", "updated", "updated", "saved", "saved", "stopped"];
    expect(run.events.map(({ kind }) => kind)).toEqual(kinds);
    expect(run.events.map(({ update }) => update)).toEqual([0, 0, 1, 2, 3, 3, 3, 3]);
    expect(await readEvents(path.join(run.folder, "events.jsonl"))).toEqual(JSON.parse(JSON.stringify(run.events)));
    expect(readdirSync(run.folder).sort()).toEqual(["adapter", "checkpoints", "events.jsonl", "options.json"]);
    const file = JSON.parse(readFileSync(path.join(run.folder, "options.json"), "utf8"));
    expect(file).toMatchObject({
      runId: run.id,
      options: { maxSteps: 3, learningRate: 1e-2, model: "tiny", seed: 42 },
    });
  });

  test("learns: the loss of backwards words falls below a third within 60 updates", async () => {
    const run = await trainTiny(await tinyLora({ rank: 8 }), { maxSteps: 60, learningRate: 3e-2, batchSize: 9 });
    const { firstLoss, lastLoss } = await run.finished;
    expect(lastLoss).toBeLessThan((firstLoss as number) / 3);
  });

  test("allocates exactly what it planned, and frees it", async () => {
    const device = referenceDevice();
    const model = await tinyLora({}, {}, device);
    const before = device.allocated();
    const run = await trainTiny(model, { validation: 0.3 });
    const [planned] = eventsOf(run, "planned");
    for (const { memory } of eventsOf(run, "updated")) expect(memory).toEqual(planned?.memory);
    expect(device.allocated()).toEqual(before);
  });

  test("with gradientCheckpointing gives the same losses in less memory", async () => {
    const kept = await trainTiny(await tinyLora({ dropout: 0.2 }), {});
    const again = await trainTiny(await tinyLora({ dropout: 0.2 }), { gradientCheckpointing: true });
    const losses = (run: typeof kept) => eventsOf(run, "updated").map(({ loss }) => loss);
    expect(losses(again)).toEqual(losses(kept));
    const [less, more] = [again, kept].map((run) => eventsOf(run, "planned")[0]?.memory.activations as number);
    expect(less).toBeLessThan(more as number);
  });

  test("two readers, one of them late, get every event from the first", async () => {
    const run = train(await tinyLora(), tinyOptions());
    const read = async () => {
      const events: TrainEvent[] = [];
      for await (const event of run) events.push(event);
      return events;
    };
    const early = read();
    await run.finished;
    const late = await read();
    expect(await early).toEqual(run.events);
    expect(late).toEqual(run.events);
  });

  test("evaluates on rows of their own before the first update, after each epoch and at the end", async () => {
    const run = await trainTiny(await tinyLora(), { validation: backwards.slice(0, 2), maxSteps: 7 });
    const evaluated = eventsOf(run, "evaluated");
    expect(evaluated.map(({ update }) => update)).toEqual([0, 5, 7]); // 9 rows by 2 make 5 updates an epoch
    expect(evaluated[2]?.loss).toBeLessThan(evaluated[0]?.loss as number);
  });

  test("warms up and decays as its schedule says", async () => {
    const run = await trainTiny(await tinyLora(), { maxSteps: 4, warmupSteps: 2, learningRate: 0.1 });
    const rates = eventsOf(run, "updated").map(({ learningRate }) => learningRate);
    expectClose(rates, [0, 0.05, 0.1, 0.05], { absolute: 1e-12 });
  });

  test("the last, short window of an epoch makes an update of its own", async () => {
    const run = await trainTiny(await tinyLora(), { maxSteps: undefined, epochs: 2, gradientAccumulationSteps: 2 });
    expect(eventsOf(run, "planned")[0]?.updates).toBe(6); // 5 batches: windows of 2, 2 and 1
    expect(eventsOf(run, "updated").map(({ epoch }) => epoch)).toEqual([1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2]);
  });

  test("the health certificate says what was found", async () => {
    const tooLong = { kind: "instruction", instruction: "abcdefghijklmnopq", output: "a" } as const;
    const run = await trainTiny(await tinyLora(), { data: [...backwards, tooLong], warmupSteps: 100 });
    const found = Object.fromEntries(
      (eventsOf(run, "checked")[0]?.findings ?? []).map(({ check, ...rest }) => [check, rest]),
    );
    expect(found).toMatchObject({
      rows: {
        verdict: "warning",
        message:
          "10 rows read, 9 to train on; 1 dropped because no token of theirs is trained (rows 9); 1 cut at maxTokens 16",
      },
      "trained tokens": { message: "36 of 72 tokens are trained (50.0 %); rows have 8 tokens on average, at most 10" },
      "end mark": { verdict: "good", message: "9 of 9 rows train the end mark" },
      "warm-up": {
        verdict: "warning",
        message:
          "100 updates of warm-up, but the run has 4: it ends at 3 % of the learning rate; set warmupRatio instead",
      },
      start: { verdict: "good" },
      gradients: { verdict: "good" },
    });
    expect(found["sample"]?.message).toContain("⟦");
    expect(found["gradients"]?.message).toMatch(
      /^all 28 trained tensors get a finite gradient on the first batch; 14 are still zero, such as "model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight"/,
    );
  });

  test("its adapter answers as the trained model does", async () => {
    const model = await tinyLora();
    const run = await trainTiny(model);
    const { adapter } = await run.finished;
    const loaded = await loadAdapter(model.base, adapter as string);
    expect(await valuesOf(loaded.trained)).toEqual(await valuesOf(model.trained));
  });
});

onEveryDevice((device) => {
  test("8 batches of 1 row give what 1 batch of 8 rows gives, within 1e-6", { timeout: 120_000 }, async () => {
    const shapes: Partial<TrainOptions>[] = [
      { batchSize: 8, gradientAccumulationSteps: 1 },
      { batchSize: 1, gradientAccumulationSteps: 8 },
    ];
    const data = backwards.slice(0, 8);
    const results = [];
    for (const shape of shapes) {
      const model = await tinyLora({}, {}, device);
      const run = await trainTiny(model, { ...shape, data, maxSteps: 3 });
      const updates = eventsOf(run, "updated");
      results.push({
        losses: updates.map(({ loss }) => loss),
        norms: updates.map(({ gradientNorm }) => gradientNorm),
        tokens: updates.map(({ trainedTokens }) => trainedTokens),
        values: await valuesOf(model.trained),
      });
    }
    const [whole, parts] = results as [(typeof results)[0], (typeof results)[0]];
    expect(parts.tokens).toEqual(whole.tokens);
    expectClose(parts.losses, whole.losses, { absolute: 1e-6 });
    expectClose(parts.norms, whole.norms, { relative: 1e-5 }); // a norm of about 1, summed in f32
    expectClose(parts.values, whole.values, { absolute: 1e-6 });
  });

  test("the same seed gives the same bits, another seed others", { timeout: 120_000 }, async () => {
    const [a, b, c] = await Promise.all(
      [1, 1, 2].map(async (seed) => {
        const model = await tinyLora({ dropout: 0.3 }, {}, device);
        await trainTiny(model, { seed });
        return valuesOf(model.trained);
      }),
    );
    expect(b).toEqual(a);
    expect(c).not.toEqual(a);
  });
});

describe("live controls", () => {
  test("another learning rate holds from the update after the one its event names, and the schedule goes on", async () => {
    const run = train(await tinyLora(), tinyOptions({ maxSteps: 6, learningRate: 0.06 }));
    for await (const event of run) if (event.kind === "updated" && event.update === 2) run.set({ learningRate: 0.6 });
    const [changed] = eventsOf(run, "changed");
    expect(changed).toMatchObject({ controls: { learningRate: 0.6 } });
    const after = changed?.update as number;
    expect(after).toBeGreaterThanOrEqual(2);
    const rates = eventsOf(run, "updated").map(({ learningRate }) => learningRate);
    expectClose(
      rates,
      [0, 1, 2, 3, 4, 5].map((done) => (done < after ? 0.06 : 0.6) * (1 - done / 6)),
      { absolute: 1e-12 },
    );
  });

  test("pause holds the updates, saving works meanwhile, resume goes on", async () => {
    const run = train(await tinyLora(), tinyOptions({ maxSteps: 5 }));
    run.pause();
    const folder = await run.saveNow();
    expect(folder).toBe(path.join(run.folder, "checkpoints", "step-0"));
    await setTimeout(100);
    expect(eventsOf(run, "updated")).toEqual([]);
    run.resume();
    expect((await run.finished).updates).toBe(5);
    expect(eventsOf(run, "paused").length + eventsOf(run, "resumed").length).toBe(2);
  });

  test("stop ends within a second, keeps what was learned, and the model trains again at once", async () => {
    const model = await tinyLora();
    const run = train(model, tinyOptions({ maxSteps: 100_000 }));
    for await (const event of run) if (event.kind === "updated") break;
    const asked = performance.now();
    const again = (async () => {
      const result = await run.stop();
      return { result, seconds: (performance.now() - asked) / 1000 };
    })();
    const next = train(model, tinyOptions({ maxSteps: 1 }));
    const { result, seconds } = await again;
    expect(seconds).toBeLessThan(1);
    expect(result.reason).toBe("asked");
    expect(result.updates).toBeGreaterThanOrEqual(1);
    expect(existsSync(path.join(result.adapter as string, "adapter_model.safetensors"))).toBe(true);
    expect((await next.finished).reason).toBe("finished");
  });

  test("stop ends a paused run", async () => {
    const run = train(await tinyLora(), tinyOptions());
    run.pause();
    for await (const event of run) if (event.kind === "paused") break;
    expect(await run.stop()).toMatchObject({ reason: "asked", updates: 0, adapter: undefined });
  });

  test("an aborted signal ends the run as aborted, one aborted before it starts leaves no adapter", async () => {
    const stopping = new AbortController();
    const run = train(await tinyLora(), tinyOptions({ maxSteps: 100_000, signal: stopping.signal }));
    for await (const event of run) if (event.kind === "updated") stopping.abort();
    expect(run.events.at(-1)).toMatchObject({ kind: "stopped", reason: "aborted" });
    const early = train(await tinyLora(), tinyOptions({ signal: AbortSignal.abort() }));
    expect(await early.finished).toMatchObject({ reason: "aborted", updates: 0, adapter: undefined });
  });

  test("a control that does not hold is refused and changes nothing", async () => {
    const run = train(await tinyLora(), tinyOptions());
    expect(() => run.set({ learningRate: -1 })).toThrow("run: expected `learningRate` to be a number above 0, got -1");
    expect(() => run.set({ rank: 4 } as never)).toThrow(
      "run: there is no control `rank`; the controls are learningRate",
    );
    await run.finished;
    expect(eventsOf(run, "changed")).toEqual([]);
  });

  test("what is asked of a run that has ended is refused", async () => {
    const run = await trainTiny(await tinyLora(), { maxSteps: 1 });
    expect(await refusalOf(run.saveNow())).toBe("run: it has ended, so there is nothing left to save or sample");
  });

  test("a model that is being trained is not trained by a second run", async () => {
    const model = await tinyLora();
    const run = train(model, tinyOptions());
    expect(() => train(model, tinyOptions())).toThrow(
      `train: "tiny" is being trained by the run ${run.id}; stop that one first`,
    );
    await run.finished;
  });

  test("a folder that holds a run is not written over unless asked", async () => {
    const outputFolder = path.join(temporaryFolder(), "run");
    const first = await trainTiny(await tinyLora(), { outputFolder, maxSteps: 1 });
    const model = await tinyLora();
    expect(() => train(model, tinyOptions({ outputFolder }))).toThrow(
      `train: ${outputFolder} holds the run ${first.id}; go on with it by \`resume: true\`, start anew by \`overwrite: true\`, or name another outputFolder`,
    );
    const second = await trainTiny(model, { outputFolder, overwrite: true, maxSteps: 2 });
    expect(readdirSync(path.join(outputFolder, "checkpoints"))).toEqual(["step-2"]);
    expect(second.id).not.toBe(first.id);
  });
});
