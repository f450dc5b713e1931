// A Llama of given sizes on a GPU, its weights from one pool of random numbers that is written again and again: 16 GB in seconds.

import type { Device } from "../../../src/engine/index.js";
import { normalAt } from "../../../src/engine/random.js";
import type { LlamaConfig } from "../../../src/model/config.js";
import { familyOf } from "../../../src/model/families/index.js";
import { Model } from "../../../src/model/model.js";
import { loadResident } from "../../../src/model/resident.js";
import { convert, type TensorFile } from "../../../src/model/weights/index.js";

/** Numbers in the pool: no multiple of a row, so that no two rows are the same. */
const POOL = 4_000_037;

export async function pooledModel(device: Device, config: LlamaConfig): Promise<Model> {
  const { contextTokens } = config;
  const dtype = "bf16";
  const specs = familyOf(config).tensors(config, dtype, contextTokens);
  const pool = Float32Array.from({ length: POOL }, (_, i) => normalAt(42, i) * 0.02);
  const pools = {
    weight: convert(new Uint8Array(pool.buffer), "F32", dtype) as Uint8Array,
    norm: convert(new Uint8Array(new Float32Array(1 << 16).fill(1).buffer), "F32", dtype) as Uint8Array,
  };
  const sizes = new Map(specs.map(({ name, shape }) => [name, shape.reduce((product, size) => product * size, 1)]));
  const file: TensorFile = {
    path: "memory",
    metadata: {},
    tensors: new Map(
      specs.map(({ name, shape }) => [
        name,
        { name, file: "memory", dtype: "BF16", shape, offset: 0, bytes: 2 * (sizes.get(name) as number) },
      ]),
    ),
    tensor: async (name) => {
      throw new Error(`${name} is not to be had as a whole`);
    },
    async *pieces(name, wanted) {
      if (wanted !== dtype) throw new Error(`${name} is wanted in ${wanted}, expected ${dtype}`);
      const source = name.endsWith("norm.weight") ? pools.norm : pools.weight;
      const bytes = 2 * (sizes.get(name) as number);
      for (let offset = 0; offset < bytes; offset += source.byteLength) {
        yield { offset, data: source.subarray(0, Math.min(source.byteLength, bytes - offset)) };
      }
    },
    close: async () => undefined,
  };
  const weights = await loadResident(device, file, specs);
  const tokenizer = {
    vocab: config.vocab,
    bos: undefined,
    eos: undefined,
    pad: 0,
    encode: (text: string) => text.split(" ").map(Number),
    decode: (ids: readonly number[]) => ids.join(" "),
    tokenText: String,
  };
  return new Model({ name: "random", folder: "", config, tokenizer, device, dtype, contextTokens, weights });
}
