// Adapters as other tools left them: what each adds to the weights, to the digit, and what is refused.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { unfuseB } from "../../src/adapter/fused.js";
import { loadAdapter, saveAdapter } from "../../src/adapter/index.js";
import { plainName } from "../../src/adapter/names.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { type Model, openTensors, openTorch, type StoredTensor, writeSafetensors } from "../../src/model/index.js";
import { expectClose } from "../close.js";
import { tinyModel } from "../model/tiny.js";
import { refusalOf, temporaryFolder } from "../train/tiny-run.js";

interface Layout {
  readonly config: Record<string, unknown>;
  /** adapter_model.bin */
  readonly weights: string;
  readonly deltas: Readonly<Record<string, number[]>>;
  readonly whole: Readonly<Record<string, number[]>>;
}
const golden = JSON.parse(readFileSync(new URL("../golden/adapter_layouts.json", import.meta.url), "utf8")) as Record<
  "current" | "fused",
  Layout
>;
const base = () => tinyModel(referenceDevice());

function put({ config, weights }: Layout, names = ["adapter_config.json", "adapter_model.bin"]): string {
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, names[0] as string), JSON.stringify(config));
  writeFileSync(path.join(folder, names[1] as string), Buffer.from(weights, "base64"));
  return folder;
}

/** What an adapter adds to a matrix: scale B A, row-major. */
async function deltas(model: Model): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const { weight, a, b, scale } of model.trained?.options.updates ?? []) {
    const [A, B] = [(await model.trained?.read(a)) as Float32Array, (await model.trained?.read(b)) as Float32Array];
    const { inputs, outputs } = model.linears.find(
      ({ name }) => `${name}.weight` === weight,
    ) as (typeof model.linears)[0];
    const rank = A.length / inputs;
    const delta = Float32Array.from({ length: outputs * inputs }, (_, at) => {
      let sum = 0;
      for (let r = 0; r < rank; r++)
        sum += (B[Math.floor(at / inputs) * rank + r] as number) * (A[r * inputs + (at % inputs)] as number);
      return scale * sum;
    });
    found.set(weight.replace(/\.weight$/, ""), delta);
  }
  return found;
}

async function expectGolden(model: Model, layout: Layout): Promise<void> {
  const found = await deltas(model);
  expect([...found.keys()].sort()).toEqual(Object.keys(layout.deltas).sort());
  for (const [name, expected] of Object.entries(layout.deltas))
    expectClose(found.get(name), expected, { absolute: 1e-5, relative: 1e-5 }, name);
  for (const [name, expected] of Object.entries(layout.whole))
    expectClose(await model.trained?.read(`${name}.weight`), expected, { relative: 1e-7 }, name);
}

describe("an adapter of PEFT", () => {
  test("with ranks and alphas by pattern, rslora and a layer saved whole adds what PEFT adds, from a pickle", async () => {
    await expectGolden(await loadAdapter(await base(), put(golden.current)), golden.current);
  });

  test("is written back so that it reads the same", async () => {
    const model = await loadAdapter(await base(), put(golden.current));
    const again = path.join(temporaryFolder(), "again");
    await saveAdapter(model, again);
    expect(JSON.parse(readFileSync(path.join(again, "adapter_config.json"), "utf8"))).toMatchObject({
      use_rslora: true,
      modules_to_save: ["lm_head"],
      rank_pattern: { "model.layers.1.self_attn.q_proj": 3 },
    });
    await expectGolden(await loadAdapter(await base(), again), golden.current);
  });

  test("of version 0.2, fused layers with some parts updated, adds what that version added, and is written as a plain one", async () => {
    const model = await loadAdapter(await base(), put(golden.fused));
    await expectGolden(model, golden.fused);
    const again = path.join(temporaryFolder(), "again");
    await saveAdapter(model, again);
    expect(JSON.parse(readFileSync(path.join(again, "adapter_config.json"), "utf8"))).toMatchObject({
      r: 4,
      lora_alpha: 12,
    });
    await expectGolden(await loadAdapter(await base(), again), golden.fused);
  });

  const python = process.env["TUNEBOOK_GOLDEN_PYTHON"];
  test.skipIf(!python).each(["current", "fused"] as const)(
    "that was read (%s) and written again adds the same in PEFT (needs TUNEBOOK_GOLDEN_PYTHON)",
    async (kind) => {
      const folder = path.join(temporaryFolder(), "again");
      await saveAdapter(await loadAdapter(await base(), put(golden[kind])), folder);
      const script = path.join(import.meta.dirname, "../golden/make_adapter_layouts.py");
      const said = JSON.parse(execFileSync(python as string, [script, "read", folder], { encoding: "utf8" })) as Layout;
      for (const part of ["deltas", "whole"] as const) {
        expect(Object.keys(said[part]).sort()).toEqual(Object.keys(golden[kind][part]).sort());
        for (const [name, values] of Object.entries(said[part]))
          expectClose(values, golden[kind][part][name] as number[], { absolute: 1e-5, relative: 1e-5 }, name);
      }
    },
    120_000,
  );

  test("that a trainer left as pytorch_model.bin is read beside its config", async () => {
    const folder = put(golden.current, ["adapter_config.json", "pytorch_model.bin"]);
    await expectGolden(await loadAdapter(await base(), folder), golden.current);
  });
});

describe("tensors without a config", () => {
  /** The adapters of the golden alone, under other names. */
  async function bare(rename: (name: string) => string): Promise<string> {
    const file = await openTorch(path.join(put(golden.fused), "adapter_model.bin"));
    const tensors = new Map<string, StoredTensor>();
    for (const name of file.tensors.keys()) {
      const { dtype, shape, data } = await file.tensor(name);
      const isB = name.includes("lora_B");
      const values = new Float32Array(data.buffer);
      const whole = isB ? unfuseB(values, [true, false, true], 24, 2) : values;
      tensors.set(rename(name), {
        dtype,
        shape: isB ? [24, 4] : shape,
        data: new Uint8Array(whole.buffer, whole.byteOffset, whole.byteLength),
      });
    }
    await file.close();
    const at = path.join(temporaryFolder(), "chatglm-lora.safetensors");
    await writeSafetensors(at, tensors);
    return at;
  }

  test.each<[string, (name: string) => string]>([
    ["live names with the adapter's", (name) => name.replace(".weight", ".default.weight")],
    ["no prefix", (name) => name.replace("base_model.model.", "")],
    ["data-parallel training's prefix", (name) => `module.${name}`],
    ["PEFT's prefix twice", (name) => `base_model.model.${name}`],
    ["loralib's", (name) => name.replace("base_model.model.", "").replace(".weight", "")],
  ])("are an adapter once alpha is given: %s", async (_, rename) => {
    const at = await bare(rename);
    await expectGolden(await loadAdapter(await base(), at, { alpha: 12 }), golden.fused);
    expect(await refusalOf(loadAdapter(await base(), at))).toBe(
      `${at}: there is no adapter_config.json beside it, and alpha is not in the tensors: give \`alpha\`, or put the file there`,
    );
  });

  test("of two adapters in one file are refused", () => {
    expect(plainName("base_model.model.x.lora_A.second.weight")).toBe("x.lora_A.weight");
    expect(plainName("base_model.model.lm_head.modules_to_save.default.weight")).toBe("lm_head.weight");
  });
});

describe("refused, saying why:", () => {
  test("the adapter of 443 bytes that holds nothing", async () => {
    const torch = JSON.parse(readFileSync(new URL("../golden/torch_files.json", import.meta.url), "utf8")) as {
      cases: { name: string; file: string }[];
    };
    const empty = torch.cases.find(({ name }) => name === "nothing")?.file as string;
    const folder = put({ ...golden.current, weights: empty });
    expect(await refusalOf(loadAdapter(await base(), folder))).toMatch(
      /adapter_model\.bin: it holds no tensors: the adapter was saved empty and must be trained again \(scripts that replace `model\.state_dict`/,
    );
  });

  test.each<[object, string]>([
    [
      { init_lora_weights: "pissa" },
      'expected `init_lora_weights` to be one that leaves the base as it is, got "pissa"',
    ],
    [{ use_dora: true }, "expected `use_dora` to be false (others are not supported), got true"],
    [{ rank_pattern: { "(a+)+$": 3 } }, 'expected `rank_pattern` to be names of layers, got "(a+)+$"'],
    [{ rank_pattern: { q_proj: 0 } }, 'expected `rank_pattern["q_proj"]` to be a number above 0, got 0'],
    [{ enable_lora: [false] }, "expected `enable_lora` to be a list of true and false, got [false]"],
    [{ modules_to_save: "lm_head" }, 'expected `modules_to_save` to be a list of names, got "lm_head"'],
  ])("config %o", async (fields, problem) => {
    const folder = put({ ...golden.current, config: { ...golden.current.config, ...fields } });
    expect(await refusalOf(loadAdapter(await base(), folder))).toBe(
      `${path.join(folder, "adapter_config.json")}: ${problem}`,
    );
  });

  test("layers saved whole that are not there, not named, of another vocabulary, or tied", async () => {
    const refused = async (fields: object, model = base()) => {
      const folder = put({ ...golden.current, config: { ...golden.current.config, ...fields } });
      return (await refusalOf(loadAdapter(await model, folder))).replace(path.join(folder, "adapter_model.bin: "), "");
    };
    expect(await refused({ modules_to_save: ["lm_head", "embed_tokens"] })).toBe(
      '`modules_to_save` names "embed_tokens", which the file does not hold',
    );
    expect(await refused({ modules_to_save: null })).toBe(
      'tensor "base_model.model.lm_head.weight" is no adapter\'s, and no layer that `modules_to_save` names',
    );
    expect(await refused({}, tinyModel(referenceDevice(), { config: { vocab: 23 } }))).toBe(
      'tensor "base_model.model.lm_head.weight" has shape [24, 16], expected [23, 16] for "tiny": the adapter was trained with another vocabulary; take the base and the tokenizer it was trained on',
    );
    expect(await refused({}, tinyModel(referenceDevice(), { config: { tied: true } }))).toBe(
      'tensor "base_model.model.lm_head.weight" belongs to no layer of "tiny", whose head is its embedding',
    );
  });

  test("a rank that the tensors do not have", async () => {
    const folder = put({ ...golden.current, config: { ...golden.current.config, rank_pattern: {} } });
    expect(await refusalOf(loadAdapter(await base(), folder))).toContain(
      'layers.1.self_attn.q_proj.lora_A.weight" has shape [3, 16], expected [2, 16] for "tiny" and rank 2',
    );
  });
});

const assets = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets");
test.skipIf(!existsSync(assets))(
  "an adapter that PEFT 0.6 wrote on a GPU changes an MLP's output to what was recorded (skipped where ../shared is absent)",
  async () => {
    const mlp = await openTensors(path.join(assets, "fixtures/peft_mlp_base_seed0.safetensors"));
    const adapter = await openTensors(path.join(assets, "adapters/peft_lora_mlp/adapter_model.bin"));
    const recorded = await openTensors(path.join(assets, "adapters/peft_lora_mlp/output.pt"));
    const read = async (file: typeof mlp, name: string) => new Float32Array((await file.tensor(name)).data.buffer);
    expect([...mlp.tensors.keys()].length).toBeGreaterThan(3);
    const [a, b] = [
      await read(adapter, "base_model.model.lin0.lora_A.weight"),
      await read(adapter, "base_model.model.lin0.lora_B.weight"),
    ];
    const [w0, b0] = [await read(mlp, "lin0.weight"), await read(mlp, "lin0.bias")];
    const [w1, b1] = [await read(mlp, "lin1.weight"), await read(mlp, "lin1.bias")];
    const out = await read(recorded, "tensor");
    const linear = (x: number[], w: Float32Array, bias?: Float32Array) =>
      Array.from({ length: w.length / x.length }, (_, row) =>
        x.reduce((sum, value, i) => sum + value * (w[row * x.length + i] as number), bias?.[row] ?? 0),
      );
    const softmax = (x: number[]) => {
      const most = Math.max(...x);
      const sum = x.reduce((total, value) => total + Math.exp(value - most), 0);
      return x.map((value) => value - most - Math.log(sum));
    };
    const results = Array.from({ length: 9 }, (_, row) => {
      const x = Array.from({ length: 10 }, (_, i) => row * 10 + i);
      const low = linear(x, a);
      const up = linear(low, b);
      const hidden = linear(x, w0, b0).map((value, i) => Math.max(0, value + (up[i] as number)));
      return softmax(linear(hidden, w1, b1));
    });
    expectClose(results.flat(), out, { absolute: 2e-5, relative: 2e-6 }, "output");
    for (const file of [mlp, adapter, recorded]) await file.close();
  },
);
