// Text from the KV cache: equal to the forward without one, cut where it should be, and freed.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { Device } from "../../src/engine/index.js";
import { neutralUniforms } from "../../src/engine/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { answer, compare, generate, generateText, openGenerator, planGeneration } from "../../src/generate/index.js";
import { StopText } from "../../src/generate/stop.js";
import { linear, planProgram, Trace } from "../../src/graph/index.js";
import { loadModel, type Model, type TensorSpec } from "../../src/model/index.js";
import { train } from "../../src/training.js";
import { expectClose } from "../close.js";
import { onEveryDevice } from "../engine/contract/devices.js";
import { seededValues, tinyModel } from "../model/tiny.js";
import { eventsOf, refusalOf, tinyLora, tinyOptions } from "../train/tiny-run.js";

const shared = process.env["TUNEBOOK_SHARED"] ?? path.resolve(import.meta.dirname, "../../../shared");
const stories = path.join(shared, "assets", "models", "stories260k");
const long = { contextTokens: 128 };

/** Log probability of each token of a text but the first, from one forward over all of it, without a cache. */
async function logprobsOf(device: Device, model: Model, ids: readonly number[]): Promise<number[]> {
  const trace = new Trace({ activations: model.dtype });
  const input = (name: string, ...shape: number[]) => trace.input(name, "i32", shape);
  const [count, { vocab }] = [ids.length, model.config];
  const hidden = model.hidden(trace, {
    batch: 1,
    ids: input("ids", count),
    positions: input("positions", count),
    ranges: input("ranges", count, 2),
  });
  trace.output("logits", linear(hidden, model.head(trace), { dtype: "f32" }));
  const { program, find } = planProgram(trace, { name: "whole", device, placements: model.placements });
  const [activations, workspace, io] = (["activations", "workspace", "io"] as const).map((category) =>
    device.allocate(category, program.arenaBytes[category]),
  ) as [ReturnType<Device["allocate"]>, ReturnType<Device["allocate"]>, ReturnType<Device["allocate"]>];
  const executable = await device.compile(program, { weights: model.weights.arena, activations, workspace, io });
  const put = (name: string, values: ArrayLike<number>) =>
    io.write(find(name).offset, new Uint8Array(Int32Array.from(values).buffer));
  await put("ids", ids);
  await put(
    "positions",
    ids.map((_, t) => t),
  );
  await put(
    "ranges",
    ids.flatMap((_, t) => [0, t + 1]),
  );
  await executable.run(neutralUniforms);
  const logits = new Float32Array((await io.read(find("logits").offset, count * vocab * 4)).slice().buffer);
  executable.dispose();
  for (const arena of [activations, workspace, io]) arena.free();
  return ids.slice(1).map((id, t) => {
    const row = logits.subarray(t * vocab, (t + 1) * vocab);
    const top = Math.max(...row);
    return (row[id] as number) - top - Math.log(row.reduce((sum, score) => sum + Math.exp(score - top), 0));
  });
}

onEveryDevice((device, name) => {
  describe("generate", () => {
    // One token, a short chunk, a long one, and several of both kinds.
    test.each([1, 2, 15, 16, 17, 64, 65, 90])(
      "after a prompt of %i tokens follows what the forward without a cache says",
      async (count) => {
        const model = await tinyModel(device, { config: long, dtype: "f32" });
        const prompt = [1, ...Array.from({ length: count - 1 }, (_, i) => 3 + ((7 * i) % 21))];
        const tokens = [];
        for await (const token of generate(model, prompt, { maxNewTokens: 8 })) tokens.push(token);
        const expected = await logprobsOf(device, model, [...prompt, ...tokens.map(({ id }) => id)]);
        const found = tokens.map(({ logprob }) => logprob);
        expectClose(found, expected.slice(count - 1), { absolute: 1e-4 }, name); // f32, sums in another order
        model.dispose();
      },
    );

    test.skipIf(!existsSync(stories))(
      "stories260k says what llama2.c publishes, 200 tokens (needs ../shared)",
      { timeout: 120_000 },
      async () => {
        const model = await loadModel(stories, { device, dtype: "f32" });
        const expected = JSON.parse(readFileSync(path.join(stories, "expected_greedy_ids.json"), "utf8")) as number[];
        const ids: number[] = [];
        for await (const { id } of generate(model, [1], { maxNewTokens: 200 })) ids.push(id);
        expect(expected.length).toBe(200);
        expect(ids).toEqual(expected);
        model.dispose();
      },
    );
  });
});

describe("generation", () => {
  test("allocates what was planned, and frees it when it ends, is left early, or fails", async () => {
    const device = referenceDevice();
    const model = await tinyModel(device, { config: long });
    const before = device.allocated();
    const plan = await planGeneration(model, 64);
    for await (const _ of generate(model, "ab", { maxNewTokens: 8 })) {
      const now = device.allocated();
      for (const category of ["cache", "activations", "workspace", "io"] as const) {
        expect(now[category] - before[category], category).toBe(plan.bytes[category]);
      }
      break;
    }
    expect(device.allocated()).toEqual(before);
    await refusalOf(generateText(model, "ab", { maxNewTokens: 0 }));
    expect(device.allocated()).toEqual(before);
  });

  test("stops at the end of the context", async () => {
    const model = await tinyModel(referenceDevice(), { values: withoutEnd });
    const tokens = [];
    for await (const token of generate(model, "abcdefgh", { maxNewTokens: 100 })) tokens.push(token);
    expect(9 + tokens.length).toBe(32);
  });

  test("a prompt that leaves no room is refused", async () => {
    const model = await tinyModel(referenceDevice());
    expect(await refusalOf(generateText(model, "a".repeat(31)))).toBe(
      'generate: the prompt has 32 tokens, expected fewer than 32, the context of "tiny" here; shorten the prompt',
    );
    expect(await refusalOf(generateText(model, []))).toMatch(/^generate: the prompt has no tokens/);
    expect(await refusalOf(generateText(model, "a", { maxNewTokens: 0 }))).toBe(
      "generate: expected `maxNewTokens` to be an integer of at least 1, got 0",
    );
  });

  test("a stop string ends the text before it, and no part of one is given out", async () => {
    const model = await tinyModel(referenceDevice(), { values: withoutEnd });
    const whole = await generateText(model, "abc", { maxNewTokens: 12 });
    expect(whole.length).toBe(12);
    const stop = whole.slice(5, 8);
    expect(await generateText(model, "abc", { maxNewTokens: 12, stop: [stop, "never"] })).toBe(
      whole.slice(0, whole.indexOf(stop)),
    );
  });

  test("sampling repeats with its seed", async () => {
    const model = await tinyModel(referenceDevice(), { values: withoutEnd });
    const text = (seed: number) => generateText(model, "abc", { maxNewTokens: 16, temperature: 1.5, seed });
    expect(await text(1)).toBe(await text(1));
    expect(await text(2)).not.toBe(await text(1));
  });

  test("an aborted signal ends it with the signal's reason", async () => {
    const model = await tinyModel(referenceDevice(), { values: withoutEnd });
    const stopping = new AbortController();
    const read = async () => {
      let count = 0;
      for await (const _ of generate(model, "abc", { signal: stopping.signal }))
        if (++count === 3) stopping.abort(new Error("enough"));
    };
    expect(await refusalOf(read())).toBe("enough");
  });

  test("one generator makes one text at a time", async () => {
    const generator = await openGenerator(await tinyModel(referenceDevice(), { values: withoutEnd }));
    const first = generator.generate("a");
    await first.next();
    expect(await refusalOf(generator.text("b"))).toBe(
      "generate: this generator is in the middle of another text; open one for each",
    );
    await first.return();
    expect((await generator.text("b", { maxNewTokens: 2 })).length).toBe(2);
    await generator.dispose();
  });

  test("base and tuned answers come from one resident model, as each alone gives them", {
    timeout: 120_000,
  }, async () => {
    const tuned = await tinyLora({ rank: 4 });
    await train(tuned, tinyOptions({ maxSteps: 8, learningRate: 0.1 })).finished;
    const options = { template: "none", maxNewTokens: 6 } as const;
    const answers = await compare(tuned.base, tuned, ["abc", { instruction: "fgh" }], options);
    for (const { prompt, base, tuned: said } of answers) {
      expect(base).toBe(await answer(tuned.base, prompt, options));
      expect(said).toBe(await answer(tuned, prompt, options));
    }
    expect(answers.map(({ prompt }) => prompt)).toEqual(["abc", "fgh"]);
    expect(answers[0]?.base).not.toBe(answers[0]?.tuned);
  });
});

describe("samples of a run", () => {
  test("come every sampleSteps and at the end, on memory that was planned", async () => {
    const device = referenceDevice();
    const model = await tinyLora({}, {}, device);
    const options = { maxSteps: 5, sampleSteps: 2, samplePrompts: ["abc"], sampleTokens: 4 };
    const run = train(model, tinyOptions(options));
    await run.finished;
    expect(eventsOf(run, "sampled").map(({ update }) => update)).toEqual([2, 4, 5]);
    const [planned] = eventsOf(run, "planned");
    for (const { memory } of eventsOf(run, "updated")) expect(memory).toEqual(planned?.memory);
    expect(planned?.memory.cache).toBeGreaterThan(0);
    expect(device.allocated().cache).toBe(0);
  });

  test("are made on demand, and one that cannot be made does not end the run", async () => {
    const run = train(await tinyLora(), tinyOptions({ maxSteps: 3 }));
    run.pause();
    expect(await refusalOf(run.sample())).toBe("run: expected prompts to sample, or `samplePrompts` among the options");
    expect(await refusalOf(run.sample(["a".repeat(40)]))).toMatch(/^generate: the prompt has 41 tokens/);
    const [said] = await run.sample(["abc"]);
    expect(said).toMatchObject({ prompt: "abc", base: said?.tuned }); // nothing is learned yet
    run.resume();
    expect((await run.finished).updates).toBe(3);
  });
});

describe("StopText", () => {
  test("holds back what may become a stop string and lets it go when it does not", () => {
    const stop = new StopText(["###", "\n\n"]);
    expect(["a#", "#b", "\n", "c", "##", "#d"].map((text) => stop.push(text))).toEqual(["a", "##b", "", "\nc", "", ""]);
    expect(stop.found).toBe(true);
    expect(stop.flush()).toBe("");
    const open = new StopText(["###"]);
    expect(open.push("a##") + open.flush()).toBe("a##");
  });

  test("cuts at the first of several", () => {
    const stop = new StopText(["c", "b"]);
    expect(stop.push("abc")).toBe("a");
  });
});

/** The tiny model, whose head never prefers the end mark. */
function withoutEnd(spec: TensorSpec, at: number): Float32Array {
  const values = seededValues(spec, at);
  if (spec.name === "lm_head.weight") values.fill(0, 0, 3 * 16);
  return values;
}
