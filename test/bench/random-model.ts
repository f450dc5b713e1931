// A model of given sizes with random weights, built in memory: nothing is downloaded, and no copy of the weights is kept beside the device's.

import type { Device } from "../../src/engine/index.js";
import type { LlamaConfig } from "../../src/model/config.js";
import { familyOf } from "../../src/model/families/index.js";
import { type ComputeDType, Model } from "../../src/model/model.js";
import { loadResident } from "../../src/model/resident.js";
import { convert, type TensorFile } from "../../src/model/weights/index.js";
import type { Tokenizer } from "../../src/tokens/index.js";

/** Elements made at a time. */
const PIECE = 1 << 18;

/** Size of the weights, uniform around 0, in Hugging Face's Llama: a standard deviation of 0.02. */
const BOUND = 0.02 * Math.sqrt(3);

/** Ids that are their own text, without a begin or end mark, so that a text never ends early. */
function numbers(vocab: number): Tokenizer {
  return {
    vocab,
    bos: undefined,
    eos: undefined,
    pad: 0,
    encode: (text) => text.split(" ").map(Number),
    decode: (ids) => ids.map((id) => `${id} `).join(""),
    tokenText: (id) => String(id),
  };
}

/** Quick numbers in [0, 1), one after another (Marsaglia 2003, xorshift32). */
export function stream(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export async function randomModel(device: Device, config: LlamaConfig, dtype: ComputeDType): Promise<Model> {
  const { contextTokens } = config;
  const specs = familyOf(config).tensors(config, dtype, contextTokens);
  const random = stream(42);
  const sizes = new Map(specs.map(({ name, shape }) => [name, shape.reduce((product, size) => product * size, 1)]));
  const file: TensorFile = {
    path: "memory",
    metadata: {},
    tensors: new Map(
      specs.map(({ name, shape }) => [
        name,
        { name, file: "memory", dtype: "F32", shape, offset: 0, bytes: 4 * (sizes.get(name) as number) },
      ]),
    ),
    tensor: async (name) => {
      throw new Error(`${name} is not to be had as a whole`);
    },
    async *pieces(name, wanted) {
      const count = sizes.get(name) as number;
      const isNorm = name.endsWith("norm.weight");
      for (let from = 0; from < count; from += PIECE) {
        const values = Float32Array.from({ length: Math.min(PIECE, count - from) }, () =>
          isNorm ? 1 : (2 * random() - 1) * BOUND,
        );
        const data = convert(new Uint8Array(values.buffer), "F32", wanted) as Uint8Array;
        yield { offset: (from * data.byteLength) / values.length, data };
      }
    },
    close: async () => undefined,
  };
  const weights = await loadResident(device, file, specs);
  const tokenizer = numbers(config.vocab);
  return new Model({ name: "random", folder: "", config, tokenizer, device, dtype, contextTokens, weights });
}
