// An adapter put into its base: the weights PEFT's numbers ask for, and the same answers.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { attachLora, loadAdapter, saveAdapter } from "../src/adapter/index.js";
import { referenceDevice } from "../src/engine/reference/index.js";
import { mergeAdapter } from "../src/merging.js";
import { loadModel, type Model, openCheckpoint } from "../src/model/index.js";
import { expectClose } from "./close.js";
import { named } from "./golden/formula.js";
import { forward } from "./golden/forward.js";
import { modelFolder } from "./model/folder.js";
import { refusalOf, temporaryFolder } from "./train/tiny-run.js";

interface Layout {
  readonly config: Record<string, unknown>;
  readonly weights: string;
  readonly deltas: Readonly<Record<string, number[]>>;
  readonly whole: Readonly<Record<string, number[]>>;
}
const { current } = JSON.parse(readFileSync(new URL("golden/adapter_layouts.json", import.meta.url), "utf8")) as Record<
  "current",
  Layout
>;

const base = async (folder?: string) =>
  loadModel(folder ?? (await modelFolder()), { device: referenceDevice(), dtype: "f32" });

async function tuned(): Promise<Model> {
  const model = await attachLora(await base(), { rank: 2, targets: ["q_proj", "down_proj"] });
  for (const { name, shape } of model.trained?.list ?? [])
    await model.trained?.write(
      name,
      named(name, shape).map((value) => 0.3 * value),
    );
  return model;
}

async function weightsOf(folder: string): Promise<Map<string, Float32Array>> {
  const file = await openCheckpoint(folder);
  const found = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) found.set(name, new Float32Array((await file.tensor(name)).data.buffer));
  await file.close();
  return found;
}

test("a merged model has the base's weights plus what PEFT says that the adapter adds, and layers saved whole", async () => {
  const adapter = temporaryFolder();
  writeFileSync(path.join(adapter, "adapter_config.json"), JSON.stringify(current.config));
  writeFileSync(path.join(adapter, "adapter_model.bin"), Buffer.from(current.weights, "base64"));
  const from = await modelFolder();
  const into = path.join(temporaryFolder(), "merged");
  await mergeAdapter(await loadAdapter(await base(from), adapter), { into, prompts: ["abc"] });
  const [before, after] = [await weightsOf(from), await weightsOf(into)];
  expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
  for (const [name, values] of before) {
    const module = name.replace(/\.weight$/, "");
    const delta = current.deltas[module];
    const expected = current.whole[module] ?? (delta ? values.map((value, i) => value + (delta[i] as number)) : values);
    expectClose(after.get(name), expected, delta ? { absolute: 1e-5 } : { relative: 1e-7 }, name);
  }
});

test("a merged model answers as the adapter did; config and tokenizer come along", async () => {
  const model = await tuned();
  const into = path.join(temporaryFolder(), "models", "merged");
  const report = await mergeAdapter(model, { into, prompts: ["abc", "b"] });
  expect(report.largestDifference).toBeLessThan(1e-4);
  expect(report.answers.map(({ prompt, same }) => [prompt, same])).toEqual([
    ["abc", true],
    ["b", true],
  ]);
  expect(readdirSync(into).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  expect(readdirSync(path.dirname(into))).toEqual(["merged"]);
  const rows = [{ ids: [1, 4, 7, 9] }];
  const [merged, alone] = [await base(into), await forward(model.base, rows)];
  const [expected, actual] = [await forward(model, rows), await forward(merged, rows)];
  expectClose(actual.logits[0], expected.logits[0] as Float32Array, { absolute: 1e-5 });
  expect(() => expectClose(alone.logits[0], expected.logits[0] as Float32Array, { absolute: 0.1 })).toThrow();
});

test("a model larger than a shard is written in shards that read as one", async () => {
  const model = await tuned();
  const into = path.join(temporaryFolder(), "merged");
  await mergeAdapter(model, { into, shardBytes: 6000, prompts: ["a"] });
  const shards = readdirSync(into).filter((name) => name.endsWith(".safetensors"));
  expect(shards.length).toBeGreaterThan(2);
  expect(shards[0]).toMatch(/^model-00001-of-0000\d\.safetensors$/);
  const file = await openCheckpoint(into);
  expect(file.notices).toEqual([]);
  await file.close();
});

test("a merge that rounds too much is refused, and nothing is left of it", async () => {
  const folder = temporaryFolder();
  const into = path.join(folder, "merged");
  expect(
    await refusalOf(mergeAdapter(await tuned(), { into, saveAs: "bf16", threshold: 1e-6, prompts: ["abc"] })),
  ).toMatch(
    /merged: not written: merged weights give scores that differ by 0\.\d+ from the adapter's, more than 0\.000001$/,
  );
  expect(readdirSync(folder)).toEqual([]);
});

test("a folder that is taken, a bare base and a NaN are refused", async () => {
  const model = await tuned();
  const folder = temporaryFolder();
  await saveAdapter(model, folder);
  expect(await refusalOf(mergeAdapter(model, { into: folder }))).toBe(
    `${folder}: there is something here already: give \`into\` a folder that is not there`,
  );
  const into = path.join(folder, "merged");
  expect(await refusalOf(mergeAdapter(model.base, { into }))).toMatch(
    /^mergeAdapter: "tunebook-model-\w+" has no adapter/,
  );
  const name = model.trained?.list[1]?.name as string;
  await model.trained?.write(name, new Float32Array(32).fill(Number.NaN));
  expect(await refusalOf(mergeAdapter(model, { into }))).toMatch(
    /not written: tensor ".*q_proj\.weight" holds NaN at 0$/,
  );
  expect(existsSync(into)).toBe(false);
});

test("several adapters live on one base at once, each a model of its own", async () => {
  const first = await tuned();
  const second = await attachLora(first.base, { rank: 3, targets: ["v_proj"] });
  for (const { name, shape } of second.trained?.list ?? []) await second.trained?.write(name, named(name, shape));
  const rows = [{ ids: [1, 4, 7, 9] }];
  const score = async (model: Model) => (await forward(model, rows)).logits[0] as Float32Array;
  const [base, a, b] = [await score(first.base), await score(first), await score(second)];
  expect(second.weights.arena).toBe(first.weights.arena);
  for (const [x, y] of [
    [base, a],
    [base, b],
    [a, b],
  ] as const)
    expect(() => expectClose(x, y, { absolute: 0.01 })).toThrow();
  second.dispose();
  expectClose(await score(first), a, {}, "the first, once the second is gone");
});
