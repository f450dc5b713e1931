// Meta's own layout of a Llama: one file and params.json, against Meta's formulas in PyTorch.

import { readFileSync } from "node:fs";
import { copyFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { attachLora } from "../../../src/adapter/index.js";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { mergeAdapter } from "../../../src/merging.js";
import { loadModel, openCheckpoint, openTorch } from "../../../src/model/index.js";
import { expectClose } from "../../close.js";
import { forward } from "../../golden/forward.js";
import { modelFolder } from "../folder.js";

const golden = JSON.parse(readFileSync(new URL("../../golden/consolidated.json", import.meta.url), "utf8")) as {
  readonly params: Readonly<Record<string, unknown>>;
  readonly file: string;
  readonly ids: readonly number[];
  readonly logits: readonly number[];
};

/** A folder as Meta's download makes one, with a tokenizer. */
async function folderOf(params: object = {}): Promise<string> {
  const folder = await modelFolder();
  await rm(path.join(folder, "config.json"));
  await rm(path.join(folder, "model.safetensors"));
  await writeFile(path.join(folder, "consolidated.00.pth"), Buffer.from(golden.file, "base64"));
  await writeFile(path.join(folder, "params.json"), JSON.stringify({ ...golden.params, ...params }));
  return folder;
}

test.each(["", "consolidated.00.pth"])("a model in Meta's layout scores as Meta's formulas do (%j)", async (name) => {
  const folder = await folderOf();
  const model = await loadModel(path.join(folder, name), { device: referenceDevice(), dtype: "f32" });
  expect(model.config).toMatchObject({ kvHeads: 2, headDim: 4, layers: 2, intermediate: 24, contextTokens: 4096 });
  expect(model.weights.unused).toEqual([]);
  const { logits } = await forward(model, [{ ids: golden.ids }]);
  expectClose(logits[0], golden.logits, { absolute: 2e-5, relative: 2e-5 }, "logits");
  model.dispose();
});

test("tensors have Hugging Face's names; q and k alone are put in another order", async () => {
  const folder = await folderOf();
  const file = path.join(folder, "consolidated.00.pth");
  const [renamed, plain] = [await openCheckpoint(folder), await openTorch(file)];
  expect(renamed.tensors.size).toBe(plain.tensors.size - 1); // rope.freqs
  const bytesOf = async (name: string, stored: string) => {
    expect(renamed.tensors.get(name)?.shape).toEqual(plain.tensors.get(stored)?.shape);
    return [(await renamed.tensor(name)).data, (await plain.tensor(stored)).data] as const;
  };
  const at = "model.layers.1.self_attn";
  const [v, wv] = await bytesOf(`${at}.v_proj.weight`, "layers.1.attention.wv.weight");
  expect(v).toEqual(wv);
  const [k, wk] = await bytesOf(`${at}.k_proj.weight`, "layers.1.attention.wk.weight");
  const row = 16 * 2; // bytes
  const order = [0, 2, 1, 3, 4, 6, 5, 7]; // of two heads of four rows
  expect(k).toEqual(Uint8Array.from(order.flatMap((from) => [...wk.subarray(from * row, (from + 1) * row)])));
  await renamed.close();
  await plain.close();
});

test("a model in Meta's layout is merged into Hugging Face's, with a config.json of its own", async () => {
  const folder = await folderOf();
  const base = await loadModel(folder, { device: referenceDevice(), dtype: "f32" });
  const into = path.join(folder, "merged");
  await mergeAdapter(await attachLora(base, { rank: 2 }), { into, prompts: ["abc"] });
  const merged = await loadModel(into, { device: referenceDevice(), dtype: "f32" });
  expect(merged.config).toEqual({ ...base.config, storedAs: "float32" });
  const { logits } = await forward(merged, [{ ids: golden.ids }]);
  expectClose(logits[0], golden.logits, { absolute: 2e-5, relative: 2e-5 }, "logits");
});

test("several files are refused with the command that converts them", async () => {
  const folder = await folderOf();
  await copyFile(path.join(folder, "consolidated.00.pth"), path.join(folder, "consolidated.01.pth"));
  await expect(loadModel(folder, { device: referenceDevice() })).rejects.toThrow(
    /consolidated\.00\.pth: it is one of 2 files of a model, .* convert it with: python -m transformers\.models\.llama\.convert_llama_weights_to_hf --input_dir/,
  );
});

test.each<[string, object, string]>([
  ["stretched positions", { use_scaled_rope: true }, "expected `use_scaled_rope` to be false"],
  ["experts", { moe: { num_experts: 8 } }, "expected `moe` to be absent"],
  ["a head count that is none", { n_heads: "4" }, "expected `n_heads` to be a whole number from 1"],
  ["heads that do not fit the rows", { n_kv_heads: 3 }, "params.json says rows of 3 heads"],
])("params.json with %s is refused by name", async (_, params, message) => {
  const folder = await folderOf(params);
  await expect(loadModel(folder, { device: referenceDevice() })).rejects.toThrow(message);
});

test("without params.json it is refused, saying that it is needed", async () => {
  const folder = await folderOf();
  await rm(path.join(folder, "params.json"));
  await expect(loadModel(folder, { device: referenceDevice() })).rejects.toThrow(
    `${path.join(folder, "params.json")}: cannot be read, and consolidated.00.pth needs it`,
  );
});
