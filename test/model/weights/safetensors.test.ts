import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CheckpointError,
  openCheckpoint,
  openSafetensors,
  type StoredTensor,
  writeSafetensors,
} from "../../../src/model/weights/index.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;

/** A file by the format's definition, written here and not by the code under test: u64 length, JSON, data. */
async function fileOf(header: unknown, data: Uint8Array, { name = `${files++}.safetensors` } = {}): Promise<string> {
  const json = Buffer.isBuffer(header)
    ? header
    : Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = path.join(folder, name);
  await writeFile(file, Buffer.concat([length, json, data]));
  return file;
}

async function refusal(file: string | Promise<string>): Promise<string> {
  const error = await openSafetensors(await file).then(
    () => new Error("opened"),
    (reason: unknown) => reason as Error,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as CheckpointError).file).toBe(await file);
  return error.message.replace(`${await file}: `, "");
}

function f32(...values: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

describe("a good file", () => {
  test("gives each tensor its own bytes, with its shape and dtype", async () => {
    const file = await fileOf(
      {
        __metadata__: { format: "pt" },
        b: { dtype: "F32", shape: [2, 1], data_offsets: [4, 12] },
        a: { dtype: "F32", shape: [], data_offsets: [0, 4] },
        none: { dtype: "I64", shape: [0, 5], data_offsets: [4, 4] },
      },
      f32(1, 2, 3),
    );
    const opened = await openSafetensors(file);
    expect(opened.metadata).toEqual({ format: "pt" });
    expect(await opened.tensor("a")).toEqual({ dtype: "F32", shape: [], data: f32(1) });
    expect(await opened.tensor("b")).toEqual({ dtype: "F32", shape: [2, 1], data: f32(2, 3) });
    expect((await opened.tensor("none")).data.length).toBe(0);
    await opened.close();
  });

  test("hands a tensor out in pieces of the wanted dtype", async () => {
    const values = Float32Array.from({ length: 600_000 }, (_, i) => i % 251); // whole numbers below 256 are exact in bf16
    const file = await fileOf(
      { w: { dtype: "F32", shape: [600_000], data_offsets: [0, 2_400_000] } },
      new Uint8Array(values.buffer),
    );
    const opened = await openSafetensors(file);
    const all = new Uint8Array(1_200_000);
    let pieces = 0;
    for await (const { offset, data } of opened.pieces("w", "bf16")) {
      all.set(data, offset);
      pieces += 1;
    }
    await opened.close();
    expect(pieces).toBe(3);
    const upper = new Uint16Array(all.buffer);
    const back = new Float32Array(Uint32Array.from(upper, (bits) => bits << 16).buffer);
    expect(Buffer.from(back.buffer).equals(Buffer.from(values.buffer))).toBe(true);
  });

  test("names its tensors when one is asked for that it does not have", async () => {
    const opened = await openSafetensors(
      await fileOf({ "h.0.weight": { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, f32(1)),
    );
    await expect(opened.tensor("h.1.weight")).rejects.toThrow(
      'tensor "h.1.weight": it is missing; the file has 1 tensors, such as h.0.weight',
    );
    await opened.close();
  });

  test("refuses to hand whole numbers out as floating point", async () => {
    const opened = await openSafetensors(
      await fileOf({ ids: { dtype: "I32", shape: [1], data_offsets: [0, 4] } }, f32(1)),
    );
    await expect(opened.pieces("ids", "f32").next()).rejects.toThrow(
      'tensor "ids": it is I32, expected floating-point numbers',
    );
    await opened.close();
  });
});

describe("a file that is refused says why", () => {
  const one = { dtype: "F32", shape: [1], data_offsets: [0, 4] };

  test("there is none", async () => {
    expect(await refusal(path.join(folder, "absent.safetensors"))).toBe("there is no such file");
  });

  test("it is a Git LFS pointer", async () => {
    const file = path.join(folder, "pointer.safetensors");
    await writeFile(file, `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 13476838\n`);
    expect(await refusal(file)).toBe(
      `this is a Git LFS pointer, not the weights of 13476838 bytes: run \`git lfs pull\` in ${folder}`,
    );
  });

  test("it is empty, shorter than its length field, or shorter than its header", async () => {
    const file = path.join(folder, "short.safetensors");
    await writeFile(file, "");
    expect(await refusal(file)).toBe("the file is empty: download it again");
    await writeFile(file, "12345");
    expect(await refusal(file)).toBe("the file has 5 bytes, too few for a safetensors header: download it again");
    const whole = await readFile(await fileOf({ a: one }, f32(1)));
    await writeFile(file, whole.subarray(0, 20));
    expect(await refusal(file)).toMatch(/^the header is \d+ bytes but the file ends after 20: it is truncated/);
  });

  test("its data is cut off", async () => {
    const whole = await readFile(await fileOf({ a: one }, f32(1)));
    const file = path.join(folder, "cut.safetensors");
    await writeFile(file, whole.subarray(0, whole.length - 1));
    expect(await refusal(file)).toBe(
      'tensor "a": its bytes end at 4, but the file holds 3 bytes of data: it is truncated, or the header lies',
    );
  });

  test("its header would be larger than 100 MB", async () => {
    const file = path.join(folder, "huge.safetensors");
    const length = Buffer.alloc(16);
    length.writeBigUInt64LE(2n ** 63n);
    await writeFile(file, length);
    expect(await refusal(file)).toMatch(/more than 100000000: this is not a safetensors file/);
  });

  test.each([
    ["not JSON", '{"a": ', /not JSON .* at character 7 of line 1/],
    ["not an object", "[]", /JSON but not an object/],
    ["not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), /^the header is not UTF-8/],
  ])("its header is %s", async (_, header, message) => {
    expect(await refusal(fileOf(header, new Uint8Array(0)))).toMatch(message);
  });

  test.each([
    [
      "a dtype it cannot read",
      { ...one, dtype: "F8_E4M3" },
      'tensor "a": dtype F8_E4M3 is not supported (supported: F64, F32,',
    ],
    ["a dtype named like a method", { ...one, dtype: "toString" }, 'tensor "a": dtype toString is not supported'],
    ["a negative size", { ...one, shape: [-1] }, 'tensor "a": expected `shape` to be sizes from 0, got [-1]'],
    ["a broken size", { ...one, shape: [0.5] }, "expected `shape` to be sizes from 0, got [0.5]"],
    ["no offsets", { ...one, data_offsets: undefined }, "expected `data_offsets` to be [start, end], got undefined"],
    [
      "offsets that go backwards",
      { ...one, data_offsets: [4, 0] },
      "expected `data_offsets` to be [start, end], got [4,0]",
    ],
    ["a shape its bytes do not hold", { ...one, shape: [2] }, "F32 [2] needs 8 bytes, but its offsets hold 4"],
    [
      "a size that overflows",
      { ...one, shape: [2 ** 31, 2 ** 31] },
      "needs 18446744073709552000 bytes, but its offsets hold 4",
    ],
  ])("a tensor has %s", async (_, tensor, message) => {
    expect(await refusal(fileOf({ a: tensor }, f32(1)))).toContain(message);
  });

  test("metadata is not text", async () => {
    expect(await refusal(fileOf({ __metadata__: { a: 1 } }, f32()))).toBe(
      "expected `__metadata__` to map names to strings",
    );
  });

  test("two tensors share bytes", async () => {
    const header = {
      a: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
      b: { dtype: "F32", shape: [1], data_offsets: [4, 8] },
    };
    expect(await refusal(fileOf(header, f32(1, 2)))).toBe('tensor "b": its bytes overlap those of "a"');
  });

  test("bytes belong to no tensor, between two or at the end", async () => {
    const gap = { a: one, b: { dtype: "F32", shape: [1], data_offsets: [8, 12] } };
    expect(await refusal(fileOf(gap, f32(1, 2, 3)))).toBe('tensor "b": 4 bytes between it and "a" belong to no tensor');
    expect(await refusal(fileOf({ a: one }, f32(1, 2)))).toBe("the last 4 bytes of the file belong to no tensor");
  });
});

describe("shards", () => {
  async function model(name: string, weightMap: Record<string, string>, shards: readonly string[]): Promise<string> {
    await mkdir(path.join(folder, name));
    for (const [i, shard] of shards.entries()) {
      await fileOf({ [`t${i}`]: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, f32(i + 1), {
        name: path.join(name, shard),
      });
    }
    await writeFile(path.join(folder, name, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
    return path.join(folder, name);
  }

  test("are read as one file", async () => {
    const opened = await openCheckpoint(
      await model("two", { t0: "a.safetensors", t1: "b.safetensors" }, ["a.safetensors", "b.safetensors"]),
    );
    expect([...opened.tensors.keys()]).toEqual(["t0", "t1"]);
    expect((await opened.tensor("t1")).data).toEqual(f32(2));
    await opened.close();
  });

  test("that are missing are named, with how many are there", async () => {
    const at = await model("missing", { t0: "a.safetensors", t1: "b.safetensors" }, ["a.safetensors"]);
    await expect(openCheckpoint(at)).rejects.toThrow(
      "b.safetensors: the shard is missing (1 of 2 shards are there): download it",
    );
  });

  test.each(["../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..\\a.safetensors", ".."])(
    "outside the folder are refused: %s",
    async (shard) => {
      const at = await model(`escape${files++}`, { t0: shard }, []);
      await expect(openCheckpoint(at)).rejects.toThrow(`shard "${shard}" would lie outside the folder: refused`);
    },
  );

  test("that do not hold a tensor the index lists are refused", async () => {
    const at = await model("absent", { t0: "a.safetensors", t9: "a.safetensors" }, ["a.safetensors"]);
    await expect(openCheckpoint(at)).rejects.toThrow(
      'tensor "t9": the index says it is in a.safetensors, which does not hold it',
    );
  });

  test("with a broken index are refused with line and column", async () => {
    const at = await model("broken", {}, []);
    await writeFile(path.join(at, "model.safetensors.index.json"), '{\n "weight_map": {,}}');
    await expect(openCheckpoint(at)).rejects.toThrow(
      'model.safetensors.index.json:2:17: expected a key in double quotes or "}"',
    );
  });
});

test("a folder without weights, or no folder, is an error of its own", async () => {
  await expect(openCheckpoint(path.join(folder, "nowhere"))).rejects.toThrow("there is no such folder");
  await expect(openCheckpoint(folder)).rejects.toThrow(
    "expected model.safetensors or pytorch_model.bin, or either with .index.json, in this folder, found neither; there is 0.safetensors: give the path of that file",
  );
});

describe("writing", () => {
  const tensors: [string, StoredTensor][] = [
    ["b.weight", { dtype: "BF16", shape: [3], data: new Uint8Array([1, 2, 3, 4, 5, 6]) }],
    ["c", { dtype: "F32", shape: [2], data: f32(1, 2) }],
    ["a.weight", { dtype: "F32", shape: [1, 1], data: f32(3) }],
  ];

  test("gives a file that follows the format to the byte", async () => {
    const file = path.join(folder, "written.safetensors");
    await writeSafetensors(file, new Map(tensors), { format: "pt" });
    const bytes = await readFile(file);
    const headerBytes = Number(bytes.readBigUInt64LE());
    expect(headerBytes % 8).toBe(0);
    expect(JSON.parse(bytes.subarray(8, 8 + headerBytes).toString())).toEqual({
      __metadata__: { format: "pt" },
      "a.weight": { dtype: "F32", shape: [1, 1], data_offsets: [0, 4] },
      c: { dtype: "F32", shape: [2], data_offsets: [4, 12] },
      "b.weight": { dtype: "BF16", shape: [3], data_offsets: [12, 18] },
    });
    expect(
      Buffer.concat([f32(3), f32(1, 2), new Uint8Array([1, 2, 3, 4, 5, 6])]).equals(bytes.subarray(8 + headerBytes)),
    ).toBe(true);
  });

  test("gives the same bytes for the same tensors in any order", async () => {
    const [one, two] = [path.join(folder, "one.safetensors"), path.join(folder, "two.safetensors")];
    await writeSafetensors(one, new Map(tensors), { x: "1", a: "2" });
    await writeSafetensors(two, new Map([...tensors].reverse()), { a: "2", x: "1" });
    expect((await readFile(one)).equals(await readFile(two))).toBe(true);
  });

  test("keeps the old file and leaves nothing beside it when it fails", async () => {
    const file = path.join(folder, "kept.safetensors");
    await writeSafetensors(file, new Map(tensors));
    const before = await readFile(file);
    const wrong = new Map([["a", { dtype: "F32", shape: [2], data: f32(1) } as const]]);
    await expect(writeSafetensors(file, wrong)).rejects.toThrow('tensor "a": F32 [2] needs 8 bytes, got 4');
    expect((await readFile(file)).equals(before)).toBe(true);
    await expect(writeSafetensors(path.join(folder, "no", "where.safetensors"), new Map(tensors))).rejects.toThrow(
      /cannot be written: ENOENT/,
    );
    expect((await readdir(folder)).filter((name) => name.endsWith(".part"))).toEqual([]);
  });
});

const shared = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets");
describe.skipIf(!existsSync(shared))("real files (skipped where ../shared/assets is absent)", () => {
  test("a small Llama opens, and its weights are finite numbers", async () => {
    const opened = await openCheckpoint(path.join(shared, "models/stories260k"));
    expect(opened.tensors.get("model.embed_tokens.weight")).toMatchObject({ dtype: "F32", shape: [512, 64] });
    expect(opened.tensors.get("model.layers.4.self_attn.k_proj.weight")).toMatchObject({ shape: [32, 64] });
    const { data } = await opened.tensor("model.norm.weight");
    expect(new Float32Array(data.buffer).every(Number.isFinite)).toBe(true);
    await opened.close();
  });

  test.each([
    "adapters/peft_gpt2_lora/adapter_model.safetensors",
    "adapters/mlx_lora/adapters.safetensors",
    "fixtures/glm_tiny_layer1.safetensors",
  ])("%s opens", async (file) => {
    const opened = await openSafetensors(path.join(shared, file));
    expect(opened.tensors.size).toBeGreaterThan(0);
    await opened.close();
  });
});
