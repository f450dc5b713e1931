import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { elementBytes } from "../../../src/engine/dtype.js";
import { uniformAt } from "../../../src/engine/random.js";
import {
  CheckpointError,
  convert,
  openCheckpoint,
  openTorch,
  type StoredTensor,
  type TensorFile,
} from "../../../src/model/weights/index.js";
import { expectClose } from "../../close.js";
import { zipOf } from "./zip-file.js";

interface Golden {
  readonly cases: readonly {
    readonly name: string;
    readonly file: string;
    readonly tensors: Readonly<Record<string, { dtype: string; shape: number[]; values: number[] }>>;
  }[];
  readonly refused: readonly { readonly name: string; readonly file: string }[];
}
const golden = JSON.parse(readFileSync(new URL("../../golden/torch_files.json", import.meta.url), "utf8")) as Golden;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "torch-"));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
async function put(bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, `${files++}.bin`);
  await writeFile(file, bytes);
  return file;
}
const fileOf = (name: string) =>
  Buffer.from([...golden.cases, ...golden.refused].find((one) => one.name === name)?.file as string, "base64");

async function refusal(bytes: Uint8Array): Promise<string> {
  const file = await put(bytes);
  const error = await openTorch(file).then(
    () => new Error("opened"),
    (reason: unknown) => reason as Error,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  return error.message.replaceAll(file, "x.bin");
}

const storedAs: Readonly<Record<string, string>> = {
  float64: "F64",
  float32: "F32",
  bfloat16: "BF16",
  float16: "F16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};

function numbersOf({ dtype, data }: StoredTensor): ArrayLike<number> {
  const { buffer } = data;
  if (dtype === "F64") return new Float64Array(buffer);
  if (dtype === "I64") return [...new BigInt64Array(buffer)].map(Number);
  if (dtype === "I32") return new Int32Array(buffer);
  if (dtype === "I16") return new Int16Array(buffer);
  if (dtype === "I8") return new Int8Array(buffer);
  if (dtype === "U8" || dtype === "BOOL") return data;
  const bytes = convert(data, dtype, "f32") as Uint8Array;
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / elementBytes.f32);
}

describe("a file of torch.save is read to the bit:", () => {
  test.each(golden.cases)("$name", async ({ file, tensors }) => {
    const opened = await openTorch(await put(Buffer.from(file, "base64")));
    expect([...opened.tensors.keys()]).toEqual(Object.keys(tensors));
    for (const [name, { dtype, shape, values }] of Object.entries(tensors)) {
      expect(opened.tensors.get(name)).toMatchObject({ dtype: storedAs[dtype], shape });
      const stored = await opened.tensor(name);
      expectClose(numbersOf(stored), values, {}, name);
      if (dtype.includes("float")) expectClose(await inPieces(opened, name), values.map(Math.fround), {}, name);
    }
    await opened.close();
  });

  test.skipIf(!existsSync(path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets")))(
    "an adapter that PEFT wrote on a GPU, and a tensor alone (skipped where ../shared/assets is absent)",
    async () => {
      const at = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets/adapters/peft_lora_mlp");
      const adapter = await openTorch(path.join(at, "adapter_model.bin"));
      expect([...adapter.tensors.values()].map(({ name, dtype, shape }) => `${name} ${dtype} ${shape}`)).toEqual([
        "base_model.model.lin0.lora_A.weight F32 8,10",
        "base_model.model.lin0.lora_B.weight F32 20,8",
      ]);
      await adapter.close();
      const output = await openTorch(path.join(at, "output.pt"));
      expect(output.tensors.get("tensor")?.shape).toEqual([9, 2]);
      await output.close();
    },
  );
});

async function inPieces(file: TensorFile, name: string): Promise<Float32Array> {
  const bytes: Uint8Array[] = [];
  for await (const { data } of file.pieces(name, "f32")) bytes.push(data);
  const whole = Uint8Array.from(Buffer.concat(bytes));
  return new Float32Array(whole.buffer);
}

describe("what is no plain state dict is refused by name, and nothing of it is run:", () => {
  test.each([
    [
      "runs",
      /^x\.bin: it names "(posix|nt)\.system", which tensors do not need: refused, and nothing of the file was run/,
    ],
    ["whole module", /it names "torch\.nn\.modules\.linear\.Linear", which tensors do not need/],
    ["namespace", /it names "argparse\.Namespace", which tensors do not need/],
    ["complex", /it names "torch\.ComplexFloatStorage", which tensors do not need/],
    ["optimizer", /^x\.bin: expected tensors, or a dict of them as "state_dict", .*; it has "state", "param_groups"$/],
    ["text", /^x\.bin: expected a dict of tensors, it holds something else$/],
    [
      "legacy",
      /^x\.bin: it has torch's format from before 1\.6, .*convert it with: python -c 'import torch; torch\.save\(/,
    ],
  ])("%s", async (name, message) => {
    expect(await refusal(fileOf(name))).toMatch(message);
    expect(existsSync("/tmp/this-was-run")).toBe(false);
  });

  test("a file written on a big-endian machine, and a program", async () => {
    const pickle = Buffer.from([0x80, 2, 0x7d, 0x2e]);
    const archive = (name: string, text: string) =>
      zipOf([
        { name: "a/data.pkl", data: pickle },
        { name: `a/${name}`, data: Buffer.from(text) },
      ]);
    expect(await refusal(archive("byteorder", "big"))).toMatch(/big-endian machine, .*convert it with: python -c/);
    expect(await refusal(archive("constants.pkl", "."))).toMatch(/TorchScript program, not weights/);
    await (await openTorch(await put(archive("byteorder", "little")))).close();
  });
});

describe("a pickle that asks for more than tensors is refused:", () => {
  const text = (value: string) => Buffer.concat([Buffer.from([0x8c, value.length]), Buffer.from(value)]);
  const global = (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`);
  const pickled = (...parts: (Uint8Array | number)[]) =>
    zipOf([
      {
        name: "a/data.pkl",
        data: Buffer.concat(
          [0x80, 2, ...parts, 0x2e].map((part) => (typeof part === "number" ? Buffer.of(part) : part)),
        ),
      },
      { name: "a/data/0", data: new Uint8Array(16) },
    ]);
  const storage = (type: string, key: string, elements: number) =>
    Buffer.concat([
      Buffer.of(0x28),
      text("storage"),
      global("torch", type),
      text(key),
      text("cpu"),
      Buffer.of(0x4b, elements, 0x74, 0x51),
    ]);
  /** _rebuild_tensor_v2(storage, first, (size,), (stride,)) */
  const tensor = (of: Uint8Array, first: number, size: number, stride: number) =>
    Buffer.concat([
      global("torch._utils", "_rebuild_tensor_v2"),
      Buffer.of(0x28),
      of,
      Buffer.of(0x4b, first, 0x4b, size, 0x85, 0x4b, stride, 0x85, 0x74, 0x52),
    ]);

  test.each<[string, Buffer, string]>([
    ["eval", pickled(global("builtins", "eval"), text("1"), 0x85, 0x52), 'it names "builtins.eval", which'],
    ["a pickle in a pickle", pickled(global("torch.storage", "_load_from_bytes")), '"torch.storage._load_from_bytes"'],
    ["a name put together", pickled(text("os"), text("system"), 0x93), 'it names "os.system"'],
    ["an instance", pickled(0x29, 0x81), "opcode 0x81 at byte 3 is not one that tensors need"],
    ["a call of a storage", pickled(global("torch", "FloatStorage"), 0x29, 0x52), 'it calls "torch.FloatStorage"'],
    ["a call of a text", pickled(text("x"), 0x29, 0x52), "calls something that is no global"],
    ["attributes of a list", pickled(0x5d, 0x7d, 0x62), "sets attributes of something that is no dict"],
    ["a value it never kept", pickled(0x68, 3), "recalls value 3, which it never kept"],
    ["a mark that is not there", pickled(0x74), "goes back to a mark that is not there"],
    ["a value that is not there", pickled(0x85), "takes a value that is not there"],
    ["more text than there is", pickled(0x58, Buffer.of(255, 255, 255, 255)), "the pickle breaks off"],
    [
      "a storage that is not there",
      pickled(storage("FloatStorage", "7", 4)),
      'storage "7" is missing from the archive',
    ],
    ["a path as storage", pickled(storage("FloatStorage", "../../x", 4)), 'storage "../../x" is missing'],
    [
      "more elements than bytes",
      pickled(storage("FloatStorage", "0", 5)),
      'storage "0" has 16 bytes, but 5 elements of F32 are said to be in it',
    ],
    [
      "a tensor beyond its storage",
      pickled(tensor(storage("FloatStorage", "0", 4), 1, 4, 1)),
      "a tensor [4] reaches beyond its storage of 4 elements",
    ],
    [
      "a stride beyond its storage",
      pickled(tensor(storage("FloatStorage", "0", 4), 0, 2, 4)),
      "reaches beyond its storage",
    ],
    ["protocol 1", zipOf([{ name: "a/data.pkl", data: Buffer.of(0x80, 1, 0x7d, 0x2e) }]), "pickle protocol 1 is not"],
    [
      "a dict that holds itself",
      pickled(0x7d, 0x71, 1, text("model"), 0x68, 1, 0x73),
      "expected tensors, or a dict of them",
    ],
  ])("%s", async (_, bytes, message) => {
    expect(await refusal(bytes)).toContain(message);
  });

  test("a pickle of 40,000 values, each twice in the next, takes the time of its bytes", async () => {
    const twice = Buffer.from([0x71, 1, 0x68, 1, 0x86]); // keep the value, recall it, a tuple of both
    const bomb = pickled(0x5d, Buffer.concat(Array.from({ length: 40_000 }, () => twice)));
    expect(await refusal(bomb)).toContain("expected a dict of tensors, it holds something else");
  });
});

describe("an archive is refused when", () => {
  const pickle = { name: "a/data.pkl", data: Buffer.from([0x80, 2, 0x7d, 0x2e]) };

  test.each<[string, Buffer, string]>([
    [
      "a record is compressed",
      zipOf([{ ...pickle, method: 8 }]),
      'record "a/data.pkl" is compressed; torch.save stores it plain',
    ],
    ["two records have one name", zipOf([pickle, pickle]), 'the archive has two records named "a/data.pkl"'],
    ["records share bytes", zipOf([pickle, { name: "a/data.pkX", data: pickle.data, at: 0 }]), "share bytes: refused"],
    [
      "a name leads outside",
      zipOf([pickle, { name: "a/../../x", data: pickle.data }]),
      'record "a/../../x" of the archive would lie outside',
    ],
    ["a name is absolute", zipOf([{ ...pickle, name: "/a/data.pkl" }]), "would lie outside of it: refused"],
    ["a record is not where it should be", zipOf([{ ...pickle, at: 7 }]), "is not where the zip directory says"],
    [
      "it has no pickle",
      zipOf([{ name: "a/b", data: pickle.data }]),
      "the archive has 0 records data.pkl, expected one",
    ],
    [
      "it has two",
      zipOf([pickle, { ...pickle, name: "b/data.pkl" }]),
      "the archive has 2 records data.pkl, expected one",
    ],
    [
      "it is no archive",
      Buffer.from("#!/bin/sh\n"),
      "this is no file of torch.save: it does not begin as a zip archive",
    ],
    ["it is a web page", Buffer.from("<!DOCTYPE html><html>"), "this is a web page, not the weights"],
    ["a download was refused", Buffer.from("Entry not found"), "this is a server's message, not the weights"],
    [
      "it is a Git LFS pointer",
      Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 1740651802\n`),
      "this is a Git LFS pointer, not the weights of 1740651802 bytes: run `git lfs pull` in ",
    ],
  ])("%s", async (_, bytes, message) => {
    expect(await refusal(bytes)).toContain(message);
  });

  test("it is cut off anywhere", async () => {
    const whole = fileOf("a module's state_dict with its versions");
    for (let bytes = 4; bytes < whole.length; bytes += 41)
      expect(await refusal(whole.subarray(0, bytes))).toContain(
        "the end of the zip archive is missing: it is truncated",
      );
  });
});

test("a file with any byte changed is read or refused, never anything else", async () => {
  let [opened, refused] = [0, 0];
  for (const [at, { file }] of golden.cases.entries()) {
    const whole = Buffer.from(file, "base64");
    for (let round = 0; round < 60; round++) {
      const spoiled = Buffer.from(whole);
      const changes = 1 + (round % 3);
      for (let i = 0; i < changes; i++)
        spoiled[Math.floor(uniformAt(7, at, round, 2 * i) * whole.length)] = Math.floor(
          uniformAt(7, at, round, 2 * i + 1) * 256,
        );
      const name = await put(spoiled);
      try {
        const tensors = await openTorch(name);
        for (const [tensor, { bytes }] of tensors.tensors) if (bytes < 1e6) await tensors.tensor(tensor);
        await tensors.close();
        opened += 1;
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
        refused += 1;
      }
      await rm(name);
    }
  }
  expect(opened).toBeGreaterThan(50);
  expect(refused).toBeGreaterThan(50);
});

describe("a folder", () => {
  const save = async (name: string, bytes: Uint8Array | string) => {
    await writeFile(path.join(folder, name), bytes);
  };
  const weights = () => fileOf("pickle protocol 4");

  test("with shards of torch.save is read as one file; a total that is off is told, not refused", async () => {
    await save("pytorch_model-00001-of-00002.bin", fileOf("a trainer's dict"));
    await save("pytorch_model-00002-of-00002.bin", fileOf("a module's state_dict with its versions"));
    const map = {
      "a.weight": "pytorch_model-00001-of-00002.bin",
      "0.bias": "pytorch_model-00002-of-00002.bin",
    };
    const index = path.join(folder, "pytorch_model.bin.index.json");
    await save("pytorch_model.bin.index.json", JSON.stringify({ metadata: { total_size: 28 }, weight_map: map }));
    const exact = await openCheckpoint(folder);
    expect([...exact.tensors.keys()]).toEqual(["a.weight", "0.bias"]);
    expect(exact.notices).toEqual([]);
    await exact.close();
    await save("pytorch_model.bin.index.json", JSON.stringify({ metadata: { total_size: 4096 }, weight_map: map }));
    const stale = await openCheckpoint(folder);
    expect(stale.notices).toEqual([
      `${index}: \`total_size\` is 4096, the tensors have 28 bytes; every tensor of the index is there`,
    ]);
    await stale.close();
    await rm(path.join(folder, "pytorch_model-00002-of-00002.bin"));
    await expect(openCheckpoint(folder)).rejects.toThrow(
      "pytorch_model-00002-of-00002.bin: the shard is missing (1 of 2 shards are there): download it",
    );
    await rm(index);
    await expect(openCheckpoint(folder)).rejects.toThrow(
      "there is pytorch_model-00001-of-00002.bin, but no index of the shards: download the .index.json beside it",
    );
  });

  test("with one file is read, and safetensors are taken before it", async () => {
    await save("pytorch_model.bin", weights());
    const opened = await openCheckpoint(folder);
    expect(opened.path).toBe(path.join(folder, "pytorch_model.bin"));
    await opened.close();
    expect((await readFile(path.join(folder, "pytorch_model.bin"))).equals(weights())).toBe(true);
    await save("model.safetensors", "");
    await expect(openCheckpoint(folder)).rejects.toThrow("model.safetensors: the file is empty: download it again");
  });
});
