import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { loadModel, openCheckpoint, openLlama2c, type TensorFile } from "../../../src/model/index.js";
import { expectClose } from "../../close.js";
import { forward } from "../../golden/forward.js";
import { modelFolder } from "../folder.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llama2c-"));
});
afterAll(() => rm(folder, { recursive: true }));

interface Sizes {
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  readonly context: number;
}

/** A checkpoint as llama2.c's export.py lays it out, from tensors with Hugging Face's names. */
async function written(from: TensorFile, sizes: Sizes, version: 0 | 1): Promise<string> {
  const { hidden, intermediate, layers, heads, kvHeads, vocab, context } = sizes;
  const headDim = hidden / heads;
  const read = async (name: string) => new Float32Array((await from.tensor(name)).data.buffer);
  const tied = !from.tensors.has("lm_head.weight");
  const parts: Float32Array[] = [];
  const all = async (name: string, interleaved = false) => {
    for (let layer = 0; layer < layers; layer++) {
      const values = await read(`model.layers.${layer}.${name}.weight`);
      if (!interleaved) parts.push(values);
      else {
        // Pair i of a head: its row in the first half, then its row in the second half.
        const rows: Float32Array[] = [];
        for (let start = 0; start < values.length / hidden; start += headDim)
          for (let i = 0; i < headDim / 2; i++)
            for (const row of [start + i, start + i + headDim / 2])
              rows.push(values.subarray(row * hidden, (row + 1) * hidden));
        parts.push(...rows);
      }
    }
  };
  const embedding = async () => parts.push(await read("model.embed_tokens.weight"));
  const attention = async () => {
    await all("self_attn.q_proj", true);
    await all("self_attn.k_proj", true);
    await all("self_attn.v_proj");
    await all("self_attn.o_proj");
  };
  const mlp = async () => {
    await all("mlp.gate_proj");
    await all("mlp.down_proj");
    await all("mlp.up_proj");
  };
  if (version === 0) {
    await embedding();
    await all("input_layernorm");
    await attention();
    await all("post_attention_layernorm");
    await mlp();
    parts.push(await read("model.norm.weight"), new Float32Array(context * headDim));
  } else {
    await all("input_layernorm");
    await all("post_attention_layernorm");
    parts.push(await read("model.norm.weight"));
    await embedding();
    await attention();
    await mlp();
  }
  if (!tied) parts.push(await read("lm_head.weight"));
  const signed = version === 0 && !tied ? -vocab : vocab;
  const numbers = Int32Array.of(hidden, intermediate, layers, heads, kvHeads, signed, context);
  const header = Buffer.alloc(version === 0 ? 28 : 256);
  Buffer.from(numbers.buffer).copy(header, version === 0 ? 0 : 8);
  if (version === 1) {
    header.write("24ka", 0); // the magic number, little endian
    header.writeInt32LE(1, 4);
    header[36] = tied ? 1 : 0;
  }
  const file = path.join(folder, "model.bin");
  await writeFile(
    file,
    Buffer.concat([header, ...parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength))]),
  );
  return file;
}

const tiny: Sizes = { hidden: 16, intermediate: 24, layers: 2, heads: 4, kvHeads: 2, vocab: 24, context: 32 };

describe.each([0, 1] as const)("a llama2.c checkpoint of version %i", (version) => {
  test.each([true, false])("has Hugging Face's tensors, to the bit (tied head: %s)", async (tied) => {
    const original = await openCheckpoint(await modelFolder({ config: { tied } }));
    const opened = (await openLlama2c(await written(original, tiny, version))) as TensorFile;
    expect([...opened.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
    for (const [name, { shape }] of original.tensors) {
      expect(opened.tensors.get(name)?.shape).toEqual(shape);
      expect(Buffer.compare((await opened.tensor(name)).data, (await original.tensor(name)).data)).toBe(0);
    }
    await opened.close();
    await original.close();
  });

  test("needs no config.json to be a model, only a tokenizer beside it", async () => {
    const from = await modelFolder({ config: { tied: true } });
    const original = await openCheckpoint(from);
    const file = await written(original, tiny, version);
    await original.close();
    await copyFile(path.join(from, "tokenizer.json"), path.join(folder, "tokenizer.json"));
    const device = referenceDevice();
    const [expected, model] = [
      await loadModel(from, { device, dtype: "f32" }),
      await loadModel(file, { device, dtype: "f32" }),
    ];
    const rows = [{ ids: [1, 4, 7, 9] }];
    expectClose((await forward(model, rows)).logits[0], (await forward(expected, rows)).logits[0] as Float32Array, {});
    expect(model.name).toBe("model.bin");
  });
});

test("a checkpoint that is cut off, or quantised, is refused; other files are not taken for one", async () => {
  const original = await openCheckpoint(await modelFolder());
  const file = await written(original, tiny, 0);
  await original.close();
  const whole = readFileSync(file);
  await writeFile(file, whole.subarray(0, whole.length - 100));
  await expect(openCheckpoint(file)).rejects.toThrow(
    `${file}: a llama2.c checkpoint of 2 layers of 16 has ${whole.length} bytes, the file has ${whole.length - 100}: it is truncated`,
  );
  const quantised = Buffer.alloc(512);
  quantised.write("24ka");
  quantised.writeInt32LE(2, 4);
  await writeFile(file, quantised);
  await expect(openCheckpoint(file)).rejects.toThrow(/of version 2, which is quantised and not read: export it with/);
  await writeFile(file, Buffer.alloc(512, 7));
  expect(await openLlama2c(file)).toBeUndefined();
});

const stories = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets/models/stories260k");
test.skipIf(!existsSync(stories))(
  "a real model is the same in both layouts (skipped where ../shared is absent)",
  async () => {
    const original = await openCheckpoint(stories);
    const sizes = { hidden: 64, intermediate: 172, layers: 5, heads: 8, kvHeads: 4, vocab: 512, context: 512 };
    const file = await written(original, sizes, 0);
    const opened = (await openLlama2c(file)) as TensorFile;
    for (const name of original.tensors.keys())
      expect(Buffer.compare((await opened.tensor(name)).data, (await original.tensor(name)).data)).toBe(0);
    await opened.close();
    await original.close();
  },
);
