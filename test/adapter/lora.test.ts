// What an adapter is: which layers get one, how it starts, and that the base stays the base.

import { describe, expect, test } from "vitest";
import { attachLora, type LoraOptions } from "../../src/adapter/index.js";
import { targetNames } from "../../src/adapter/targets.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { openGenerator } from "../../src/generate/index.js";
import type { Model } from "../../src/model/index.js";
import { train } from "../../src/train/index.js";
import { tinyModel } from "../model/tiny.js";
import { refusalOf, tinyOptions } from "../train/tiny-run.js";

const attach = async (options: LoraOptions) => attachLora(await tinyModel(referenceDevice()), options);
const kinds = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";

/** Log probabilities of a short greedy text: equal only where all scores are. */
async function speak(model: Model): Promise<number[]> {
  const generator = await openGenerator(model, { tokens: 24 });
  const logprobs: number[] = [];
  for await (const { logprob } of generator.generate([1, 5, 9], { maxNewTokens: 8 })) logprobs.push(logprob);
  await generator.dispose();
  return logprobs;
}

describe("attachLora", () => {
  test("puts A [rank, in] and B [out, rank] on every projection, named as PEFT names them", async () => {
    const { trained } = await attach({ rank: 4 });
    expect(trained?.list.length).toBe(2 * 7 * 2);
    expect(trained?.list.slice(0, 2)).toEqual([
      { name: "model.layers.0.self_attn.q_proj.lora_A.weight", shape: [4, 16], decay: true },
      { name: "model.layers.0.self_attn.q_proj.lora_B.weight", shape: [16, 4], decay: true },
    ]);
    expect(trained?.find("model.layers.1.mlp.down_proj.lora_A.weight")?.shape).toEqual([4, 24]);
    expect(trained?.find("lm_head.lora_A.weight")).toBeUndefined();
  });

  test("A starts uniform in ±1/sqrt(in), as PEFT's Kaiming start with a = sqrt(5); B starts at zero", async () => {
    const { trained } = await attach({ rank: 16, targets: ["down_proj"] });
    const a = (await trained?.read("model.layers.0.mlp.down_proj.lora_A.weight")) as Float32Array; // 384 numbers
    const bound = 1 / Math.sqrt(24);
    expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound);
    const mean = a.reduce((sum, value) => sum + value, 0) / a.length;
    const variance = a.reduce((sum, value) => sum + value ** 2, 0) / a.length;
    expect(Math.abs(mean)).toBeLessThan((4 * bound) / Math.sqrt(3 * a.length)); // four standard errors
    expect(variance / (bound ** 2 / 3)).toBeGreaterThan(0.8);
    expect(variance / (bound ** 2 / 3)).toBeLessThan(1.2);
    const b = (await trained?.read("model.layers.0.mlp.down_proj.lora_B.weight")) as Float32Array;
    expect(b.every((value) => value === 0)).toBe(true);
  });

  test("starts the same for the same seed, otherwise for another", async () => {
    const name = "model.layers.0.self_attn.q_proj.lora_A.weight";
    const [a, b, c] = await Promise.all([1, 1, 2].map(async (seed) => (await attach({ seed })).trained?.read(name)));
    expect(b).toEqual(a);
    expect(c).not.toEqual(a);
  });

  test("leaves the base as it is, before and after training", async () => {
    const base = await tinyModel(referenceDevice());
    const before = await speak(base);
    const tuned = await attachLora(base, { rank: 4 });
    expect(await speak(tuned)).toEqual(before);
    await train(tuned, tinyOptions({ maxSteps: 5, learningRate: 0.1 })).finished;
    expect(await speak(tuned)).not.toEqual(before);
    expect(await speak(base)).toEqual(before);
    expect(tuned.base).toBe(base);
  });

  test("chooses layers by the last part of their name, or by the whole", async () => {
    const names = async (targets: readonly string[]) =>
      (await attach({ targets })).trained?.list.map(({ name }) => name.replace(/\.lora_._?\.?weight$|\.lora_.*/, ""));
    expect(await names(["v_proj"])).toEqual([0, 0, 1, 1].map((layer) => `model.layers.${layer}.self_attn.v_proj`));
    expect(await names(["model.layers.1.mlp.up_proj"])).toEqual(Array(2).fill("model.layers.1.mlp.up_proj"));
  });

  test.each<[LoraOptions, string]>([
    [{ rank: 0 }, "model.layers.0.self_attn.q_proj: expected `rank` to be an integer from 1 to 16, got 0"],
    [{ rank: 9 }, "model.layers.0.self_attn.k_proj: expected `rank` to be an integer from 1 to 8, got 9"],
    [{ rank: 2.5 }, "model.layers.0.self_attn.q_proj: expected `rank` to be an integer from 1 to 16, got 2.5"],
    [{ alpha: 0 }, "attachLora: expected `alpha` to be a number above 0, got 0"],
    [{ dropout: 1 }, "attachLora: expected `dropout` to be a number from 0 to below 1, got 1"],
    [{ seed: -1 }, "attachLora: expected `seed` to be an integer from 0 to 4294967295, got -1"],
    [{ targets: [] }, `attachLora: expected \`targets\` to be "all-linear" or some of ${kinds}, got an empty list`],
    [
      { targets: ["query"] },
      `attachLora: expected \`targets\` to be "all-linear" or some of ${kinds}, got "query", which fits no linear layer`,
    ],
  ])("%o is refused", async (options, message) => {
    expect(await refusalOf(attach(options))).toBe(message);
  });

  test("a model that already trains something is refused", async () => {
    const tuned = await attach({});
    expect(await refusalOf(attachLora(tuned))).toBe(
      'attachLora: "tiny" already has tensors that train; attach to its `base` instead',
    );
  });
});

describe("targetNames", () => {
  const all = ["a.0.q", "a.0.v", "a.1.q", "a.1.v"].map((name) => ({ name, inputs: 1, outputs: 1 }));

  test("are short where every layer of that name is chosen, whole names otherwise", () => {
    expect(targetNames(all, all)).toEqual(["q", "v"]);
    expect(targetNames(all, [all[0], all[2]] as typeof all)).toEqual(["q"]);
    expect(targetNames(all, [all[0]] as typeof all)).toEqual(["a.0.q"]);
  });
});
