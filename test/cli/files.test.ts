// `tunebook merge` and `tunebook export`: an adapter's way into a model folder and into one file.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { attachLora, saveAdapter } from "../../src/adapter/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { loadModel } from "../../src/model/index.js";
import { named } from "../golden/formula.js";
import { modelFolder } from "../model/folder.js";
import { readGguf } from "../model/gguf-reader.js";
import { tunebook } from "./tunebook.js";

const golden = JSON.parse(readFileSync(new URL("../golden/sentencepiece.json", import.meta.url), "utf8")) as {
  cases: { model: string }[];
};

let folder: string;
let adapter: string;
beforeAll(async () => {
  folder = await modelFolder({ config: { hidden: 32, intermediate: 64, headDim: 8, vocab: 424 } });
  rmSync(path.join(folder, "tokenizer.json"));
  writeFileSync(path.join(folder, "tokenizer.model"), Buffer.from(golden.cases[0]?.model as string, "base64"));
  const base = await loadModel(folder, { device: referenceDevice(), dtype: "f32" });
  const model = await attachLora(base, { rank: 2 });
  for (const { name, shape } of model.trained?.list ?? []) await model.trained?.write(name, named(name, shape));
  adapter = path.join(folder, "adapter");
  await saveAdapter(model, adapter);
});

const onReference = ["--device", "reference", "--dtype", "f32"];

describe("tunebook merge MODEL", () => {
  test("says how far it is and what differs, prints the folder alone, and what is there says what the adapter said", async () => {
    const into = path.join(folder, "merged");
    const merged = await tunebook("merge", folder, "--adapter", adapter, "--into", into, ...onReference);
    expect(merged.stderr).toContain("21/21 tensors merged\n");
    expect(merged.stderr).toMatch(/^scores differ by at most \S+, 3 of 3 answers are the same$/m);
    expect(merged.stdout).toBe(`${into}\n`);
    expect(merged.code).toBe(0);
    expect(readdirSync(into).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.model"]);

    const asked = ["--prompt", "the", "--max-new-tokens", "5", ...onReference];
    const [one, other] = await Promise.all([
      tunebook("generate", folder, "--adapter", adapter, ...asked),
      tunebook("generate", into, ...asked),
    ]);
    expect(other.stdout).toBe(one.stdout);

    const again = await tunebook("merge", folder, "--adapter", adapter, "--into", into, ...onReference);
    expect(again.stderr).toContain(`tunebook: ${into}: there is something here already`);
    expect(again.stderr).not.toMatch(/^\s+at /m);
    expect(again.stdout).toBe("");
    expect(again.code).toBe(1);
  });

  test("of what is no adapter is one message, and leaves nothing", async () => {
    const into = path.join(folder, "other");
    const { code, stderr } = await tunebook("merge", folder, "--adapter", folder, "--into", into, ...onReference);
    expect(stderr).toContain(`${path.join(folder, "adapter_config.json")}`);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(1);
    expect(existsSync(into)).toBe(false);
  });
});

describe("tunebook export MODEL", () => {
  test.each([
    ["f16", 1],
    ["q8_0", 8],
  ] as const)("writes %s, says how far it is, and prints the file alone", async (type, code) => {
    const file = path.join(folder, `${type}.gguf`);
    const said = await tunebook("export", folder, "--to", file, "--type", type);
    expect(said.stderr).toMatch(new RegExp(`^21/21 tensors written\\n${type}, [\\d.]+ KiB\\n$`));
    expect(said.stdout).toBe(`${file}\n`);
    expect(said.code).toBe(0);
    const read = readGguf(readFileSync(file));
    expect(read.tensors.size).toBe(21);
    expect(read.tensors.get("blk.1.ffn_gate.weight")?.type).toBe(code);
  });

  test.each<[string, string[], string]>([
    ["a name that is none of a GGUF file", ["--to", "model.bin"], "expected a file name that ends in .gguf"],
    ["a type that is none", ["--to", "x.gguf", "--type", "q4_0"], "Allowed choices are f16, q8_0"],
  ])("%s is refused", async (_, args, message) => {
    const { code, stdout, stderr } = await tunebook("export", folder, ...args);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });

  test("a model without tokenizer.model is refused by name, and no file is left", async () => {
    const plain = await modelFolder();
    const file = path.join(plain, "model.gguf");
    const { code, stderr } = await tunebook("export", plain, "--to", file);
    expect(stderr).toContain(
      `tunebook: ${path.join(plain, "tokenizer.model")}: cannot be read, and a GGUF file needs it`,
    );
    expect(code).toBe(1);
    expect(existsSync(file)).toBe(false);
  });
});
