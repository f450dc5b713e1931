// ChatGLM as its authors store it in 8 and in 4 bits: loaded as it is, computed as PyTorch does with scale * code, trained with LoRA.

import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { attachLora, trainFully } from "../../src/adapter/index.js";
import { openDevice } from "../../src/engine/devices.js";
import { dequantize, quantizedLayout } from "../../src/engine/quantized.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { mergeAdapter } from "../../src/merging.js";
import { loadCoded } from "../../src/model/coded.js";
import { familyOf, loadModel, openSafetensors, parseConfig, readConfig } from "../../src/model/index.js";
import { type StoredTensor, writeSafetensors } from "../../src/model/weights/index.js";
import { contextOf, type Form } from "../../src/tokens/index.js";
import { expectClose } from "../close.js";
import { named } from "../golden/formula.js";
import { forward } from "../golden/forward.js";
import { modelFolder } from "./folder.js";

interface Coded {
  readonly codes: string;
  readonly scales: string;
}

interface Case {
  readonly config: Readonly<Record<string, unknown>>;
  readonly rank: number;
  readonly alpha: number;
  readonly rows: readonly { readonly ids: readonly number[]; readonly labels: readonly number[] }[];
  readonly stored: Readonly<Record<string, Coded>>;
  readonly logits: readonly number[][];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly wide: Coded & { readonly shape: readonly number[]; readonly values: string };
}

const url = new URL("../golden/chatglm_codes.json", import.meta.url);
const golden = JSON.parse(readFileSync(url, "utf8")) as Record<"int8" | "int4", Case>;
const tolerance = { absolute: 2e-5, relative: 2e-5 };

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));

function stored(name: string, rows: number, { codes, scales }: Coded): [string, StoredTensor][] {
  const data = bytes(codes);
  return [
    [name, { dtype: "I8", shape: [rows, data.length / rows], data }],
    [`${name}_scale`, { dtype: "F16", shape: [rows], data: bytes(scales) }],
  ];
}

/** Tensors as the authors' quantised checkpoints have them. */
function tensorsOf({ config, stored: parts }: Case): Map<string, StoredTensor> {
  const plain = parseConfig({ ...config, quantization_bit: 0 });
  const specs = familyOf(plain).tensors(plain, "f32", 1);
  return new Map(
    specs.flatMap(({ name, shape, values }): [string, StoredTensor][] => {
      if (values) return [];
      const part = parts[name];
      if (part) return stored(name, shape[0] as number, part);
      return [[name, { dtype: "F32", shape, data: new Uint8Array(named(name, shape).buffer) }]];
    }),
  );
}

async function folderOf(expected: Case, tensors = tensorsOf(expected)): Promise<string> {
  const folder = await modelFolder();
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors, {});
  await writeFile(path.join(folder, "config.json"), JSON.stringify(expected.config));
  return folder;
}

describe.each(["int8", "int4"] as const)("a ChatGLM stored in %s", (format) => {
  const expected = golden[format];
  let folder: string;
  beforeAll(async () => {
    folder = await folderOf(expected);
  });

  test("holds the file's codes and scales to the bit: nothing is rounded again", async () => {
    const file = path.join(folder, "wide.safetensors");
    const { shape, values } = expected.wide;
    await writeSafetensors(file, new Map(stored("wide.weight", 4, expected.wide)), {});
    const opened = await openSafetensors(file);
    const dtype = format === "int8" ? "i8" : "i4";
    const { bytes: size } = quantizedLayout(dtype, shape);
    const arena = referenceDevice().allocate("weights", 64 + size);
    expect(await loadCoded(opened, { name: "wide.weight", dtype, shape }, arena, 64)).toBeUndefined();
    await opened.close();
    const numbers = dequantize((await arena.read(64, size)).slice(), dtype, shape);
    expect(numbers).toEqual(new Float32Array(bytes(values).buffer));
  });

  test.each(["reference", "cpu", "tfjs"] as const)("computes and trains on %s as PyTorch does", async (name) => {
    const device = await openDevice(name);
    const base = await loadModel(folder, { device, dtype: "f32" });
    expect(base.quantize).toBe(format);
    expect(base.weights.unused).toEqual([]);
    const form = base.form as Form & { kind: "prefix" };
    const rows = expected.rows.map((row) => ({ ...row, context: contextOf(row.ids, form) }));
    for (const [row, scores] of (await forward(base, rows)).logits.entries())
      expectClose(scores, expected.logits[row] as number[], tolerance, `logits of row ${row}`);

    const model = await attachLora(base, { rank: expected.rank, alpha: expected.alpha });
    for (const { name: tensor, shape } of model.trained?.list ?? [])
      await model.trained?.write(tensor, named(tensor, shape));
    const { loss, gradients } = await forward(model, rows);
    expectClose(loss, expected.loss, tolerance, "loss");
    expect([...gradients.keys()].sort()).toEqual(Object.keys(expected.gradients).sort());
    for (const [tensor, values] of gradients)
      expectClose(values, expected.gradients[tensor] as number[], { absolute: 1e-5, relative: 1e-4 }, tensor);
    base.dispose();
  });

  test("is merged into a plain folder, and does not train fully", async () => {
    const base = await loadModel(folder, { device: referenceDevice(), dtype: "f32" });
    await expect(trainFully(base)).rejects.toThrow(
      /is held in i[48], which does not train; take the checkpoint that is not quantised, or train an adapter/,
    );
    const into = path.join(folder, "merged");
    const model = await attachLora(base, { rank: 2 });
    await mergeAdapter(model, { into, prompts: ["abc"] });
    expect(readConfig(into).quantized).toBeUndefined();
    base.dispose();
  });

  test("is not quantised in another way", async () => {
    const device = referenceDevice();
    await expect(loadModel(folder, { device, quantize: "nf4" })).rejects.toThrow(
      `expected \`quantize\` to be ${format}, which the checkpoint holds its linear layers in already, got nf4; leave it out`,
    );
    const model = await loadModel(folder, { device, dtype: "f32", quantize: format });
    expect(model.quantize).toBe(format);
    model.dispose();
  });

  test("is refused where scales are missing, the matrix is plain, or has the other width; a bad scale is found", async () => {
    const device = referenceDevice();
    const name = "transformer.layers.0.attention.dense.weight";
    const tensors = tensorsOf(expected);
    const changed = async (key: string, tensor: StoredTensor | undefined) => {
      const others = new Map([...tensors].filter(([other]) => other !== key));
      if (tensor) others.set(key, tensor);
      return loadModel(await folderOf(expected, others), { device, dtype: "f32" });
    };
    await expect(changed(`${name}_scale`, undefined)).rejects.toThrow(`tensor "${name}_scale": it is missing`);
    const width = format === "int8" ? 16 : 8;
    const plain: StoredTensor = { dtype: "F16", shape: [16, width], data: new Uint8Array(2 * 16 * width) };
    await expect(changed(name, plain)).rejects.toThrow(`tensor "${name}": it is F16, expected codes in I8`);
    const other: StoredTensor = { dtype: "I8", shape: [16, 24 - width], data: new Uint8Array(16 * (24 - width)) };
    await expect(changed(name, other)).rejects.toThrow(
      `it has shape [16, ${24 - width}], config.json says [16, ${width}]`,
    );
    const scales = bytes((expected.stored[name] as Coded).scales);
    scales.set([0x00, 0x7e], 6); // NaN in f16
    const model = await changed(`${name}_scale`, { dtype: "F16", shape: [16], data: scales });
    expect(model.weights.faults.map(({ tensor, at }) => [tensor, at])).toEqual([[`${name}_scale`, 3]]);
    model.dispose();
  });
});
