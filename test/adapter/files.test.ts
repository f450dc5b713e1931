// Adapters on disk: what PEFT expects to find, what comes back, and what is refused in which words.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { loadAdapter, saveAdapter } from "../../src/adapter/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { openSafetensors, type StoredTensor, writeSafetensors } from "../../src/model/index.js";
import { tinyModel } from "../model/tiny.js";
import { refusalOf, temporaryFolder, tinyLora, trainTiny } from "../train/tiny-run.js";

const shared = process.env["TUNEBOOK_SHARED"] ?? path.resolve(import.meta.dirname, "../../../shared");
const adapters = path.join(shared, "assets", "adapters");
const base = () => tinyModel(referenceDevice());

/** A saved adapter of rank 2 on v_proj, whose files a test may spoil. */
async function saved() {
  const folder = path.join(temporaryFolder(), "adapter");
  await saveAdapter(await tinyLora({ targets: ["v_proj"], alpha: 6, dropout: 0.05 }), folder);
  const [config, weights] = ["adapter_config.json", "adapter_model.safetensors"].map((name) =>
    path.join(folder, name),
  ) as [string, string];
  const change = (fields: object) =>
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), ...fields }));
  return { folder, config, weights, change };
}

describe("saveAdapter", () => {
  test("writes the two files of PEFT with its names, shapes and fields", async () => {
    const { config, weights } = await saved();
    expect(JSON.parse(readFileSync(config, "utf8"))).toMatchObject({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: "tiny",
      r: 2,
      lora_alpha: 6,
      lora_dropout: 0.05,
      target_modules: ["v_proj"],
      bias: "none",
      fan_in_fan_out: false,
      inference_mode: true,
    });
    const file = await openSafetensors(weights);
    const shapes = [...file.tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape.join("x")}`).sort();
    await file.close();
    expect(shapes).toEqual(
      [0, 1].flatMap((layer) => [
        `base_model.model.model.layers.${layer}.self_attn.v_proj.lora_A.weight F32 2x16`,
        `base_model.model.model.layers.${layer}.self_attn.v_proj.lora_B.weight F32 8x2`,
      ]),
    );
  });

  test("what is loaded has the values, rank, scale and dropout that were saved", async () => {
    const tuned = await tinyLora({ alpha: 6 });
    const run = await trainTiny(tuned);
    const loaded = await loadAdapter(tuned.base, path.join(run.folder, "adapter"));
    const again = path.join(temporaryFolder(), "again");
    await saveAdapter(loaded, again);
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
      expect(readFileSync(path.join(again, name)).equals(readFileSync(path.join(run.folder, "adapter", name)))).toBe(
        true,
      );
    }
  });

  test("a NaN is not written over a good adapter", async () => {
    const { folder, weights } = await saved();
    const before = readFileSync(weights);
    const broken = await tinyLora({ targets: ["v_proj"] });
    const name = "model.layers.0.self_attn.v_proj.lora_B.weight";
    await broken.trained?.write(name, new Float32Array(16).fill(Number.NaN, 3, 4));
    expect(await refusalOf(saveAdapter(broken, folder))).toBe(
      `${weights}: not written: tensor "${name}" holds NaN at 3`,
    );
    expect(readFileSync(weights).equals(before)).toBe(true);
  });

  test("a bare base has nothing to save", async () => {
    const folder = path.join(temporaryFolder(), "none");
    expect(await refusalOf(saveAdapter(await base(), folder))).toBe(
      'saveAdapter: nothing of "tiny" trains; attach an adapter first',
    );
    expect(existsSync(folder)).toBe(false);
  });
});

describe("loadAdapter", () => {
  test("reads the scale of rslora, alpha / sqrt(rank), and writes it back", async () => {
    const { folder, change } = await saved();
    change({ use_rslora: true });
    const again = path.join(temporaryFolder(), "again");
    await saveAdapter(await loadAdapter(await base(), folder), again);
    expect(JSON.parse(readFileSync(path.join(again, "adapter_config.json"), "utf8"))).toMatchObject({
      use_rslora: true,
      lora_alpha: 6,
    });
  });

  test("ignores fields it does not know, as PEFT does", async () => {
    const { folder, change } = await saved();
    change({ some_new_field: { a: 1 }, use_dora: false, rank_pattern: {}, modules_to_save: null });
    expect((await loadAdapter(await base(), folder)).trained?.list.length).toBe(4);
  });

  test.each<[object, string]>([
    [{ peft_type: "UNILORA" }, 'expected `peft_type` to be "LORA" (other methods are not supported), got "UNILORA"'],
    [{ peft_type: undefined }, 'expected `peft_type` to be "LORA" (other methods are not supported), it is missing'],
    [{ use_dora: true }, "expected `use_dora` to be false (others are not supported), got true"],
    [{ bias: "all" }, 'expected `bias` to be "none" (others are not supported), got "all"'],
    [{ r: 0 }, "expected `r` to be an integer of at least 1, got 0"],
    [{ lora_alpha: "16" }, 'expected `lora_alpha` to be a number above 0, got "16"'],
  ])("refuses %o, naming the field", async (fields, problem) => {
    const { folder, config, change } = await saved();
    change(fields);
    expect(await refusalOf(loadAdapter(await base(), folder))).toBe(`${config}: ${problem}`);
  });

  test("refuses a folder without an adapter, and JSON that is none", async () => {
    const { folder, config, weights } = await saved();
    const empty = temporaryFolder();
    expect(await refusalOf(loadAdapter(await base(), empty))).toBe(
      `${path.join(empty, "adapter_config.json")}: there is no such file: expected the folder of an adapter, or a file of its tensors`,
    );
    writeFileSync(config, "{");
    expect(await refusalOf(loadAdapter(await base(), folder))).toMatch(`${config}: expected JSON: `);
    expect(existsSync(weights)).toBe(true);
  });

  test("refuses tensors that do not fit the base, naming the first", async () => {
    const { folder, weights } = await saved();
    const put = (tensors: Record<string, StoredTensor>) => writeSafetensors(weights, new Map(Object.entries(tensors)));
    const tensor = (...shape: number[]): StoredTensor => ({
      dtype: "F32",
      shape,
      data: new Uint8Array(shape.reduce((a, b) => a * b, 4)),
    });
    const name = (end: string) => `base_model.model.model.layers.0.self_attn.v_proj.${end}.weight`;
    const refused = async () => (await refusalOf(loadAdapter(await base(), folder))).replace(`${weights}: `, "");
    await put({ [name("lora_A")]: tensor(2, 32), [name("lora_B")]: tensor(8, 2) });
    expect(await refused()).toBe(
      `tensor "${name("lora_A")}" has shape [2, 32], expected [2, 16] for "tiny" and rank 2`,
    );
    await put({ [name("lora_A")]: tensor(2, 16) });
    expect(await refused()).toBe('tensor "model.layers.0.self_attn.v_proj.lora_B.weight" is missing');
    await put({ "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight": tensor(2, 16) });
    expect(await refused()).toBe(
      'tensor "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight" belongs to no linear layer of "tiny"',
    );
    await put({});
    expect(await refused()).toMatch(/^it holds no tensors: the adapter was saved empty and must be trained again /);
  });

  test.skipIf(!existsSync(adapters))("refuses real adapters of other kinds (needs ../shared)", async () => {
    const refused = async (name: string) =>
      (await refusalOf(loadAdapter(await base(), path.join(adapters, name)))).replace(shared, "");
    expect(await refused("unsupported_unilora")).toBe(
      '/assets/adapters/unsupported_unilora/adapter_config.json: expected `peft_type` to be "LORA" (other methods are not supported), got "UNILORA"',
    );
    expect(await refused("peft_gpt2_lora")).toMatch(/c_attn\.lora_A\.weight" belongs to no linear layer of "tiny"$/);
    expect(await refused("mlx_lora")).toMatch(
      /expected `peft_type` to be "LORA" \(other methods are not supported\), it is missing$/,
    );
  });
});

test("an adapter goes on training from where it was saved", async () => {
  const first = await tinyLora();
  const run = await trainTiny(first, { maxSteps: 20 });
  const loaded = await loadAdapter(first.base, path.join(run.folder, "adapter"));
  const second = await trainTiny(loaded, { maxSteps: 1 });
  const { lastLoss } = await run.finished;
  const { firstLoss } = await second.finished;
  expect(Math.abs((firstLoss as number) - (lastLoss as number))).toBeLessThan(0.5);
});
