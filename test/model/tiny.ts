// A Llama of a few hundred weights, without files, for tests of what runs on a model.

import { bytesOf, type Device } from "../../src/engine/index.js";
import { normalAt } from "../../src/engine/random.js";
import type { LlamaConfig, ModelConfig } from "../../src/model/config.js";
import { familyOf } from "../../src/model/families/index.js";
import { type ComputeDType, Model } from "../../src/model/model.js";
import { type Quantization, quantizeSpecs } from "../../src/model/quantize.js";
import { loadResident, type TensorSpec } from "../../src/model/resident.js";
import { convert, type TensorFile } from "../../src/model/weights/index.js";
import type { Tokenizer } from "../../src/tokens/index.js";

export const tinyConfig: LlamaConfig = {
  family: "llama",
  vocab: 24,
  hidden: 16,
  intermediate: 24,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  normEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: undefined,
  contextTokens: 32,
  tied: false,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  bos: 1,
  eos: [2],
  pad: 0,
  storedAs: undefined,
};

/** Token i is the letter i; ids 0, 1 and 2 are padding, begin and end. */
export const letters: Tokenizer = {
  vocab: tinyConfig.vocab,
  bos: 1,
  eos: 2,
  pad: 0,
  encode: (text, { bos = false, eos = false } = {}) => [
    ...(bos ? [1] : []),
    ...[...text].map((letter) => 3 + ((letter.codePointAt(0) as number) % (tinyConfig.vocab - 3))),
    ...(eos ? [2] : []),
  ],
  decode: (ids, { skipSpecial = true } = {}) =>
    ids.map((id) => (id < 3 ? (skipSpecial ? "" : `<${id}>`) : String.fromCodePoint(63 + id))).join(""),
  tokenText: (id) => (id < 3 ? `<${id}>` : String.fromCodePoint(63 + id)),
};

/** Normal numbers of size 1 / sqrt(inputs), from the tensor's place in the list; norms around one. */
export function seededValues(spec: TensorSpec, at: number): Float32Array {
  const count = spec.shape.reduce((product, size) => product * size, 1);
  const size = 1 / Math.sqrt(spec.shape.at(-1) as number);
  const isNorm = spec.name.endsWith("norm.weight");
  return Float32Array.from({ length: count }, (_, i) => (isNorm ? 1 + 0.2 * normalAt(at, i) : size * normalAt(at, i)));
}

export interface TinyOptions {
  /** Over those of a tiny Llama; the config of another family stands alone. */
  readonly config?: Partial<LlamaConfig> | ModelConfig;
  readonly dtype?: ComputeDType;
  readonly quantize?: Quantization;
  readonly values?: (spec: TensorSpec, at: number) => Float32Array;
  readonly tokenizer?: Tokenizer;
}

export async function tinyModel(device: Device, options: TinyOptions = {}): Promise<Model> {
  const { dtype = "f32", values = seededValues, tokenizer = letters } = options;
  const config = { ...tinyConfig, ...options.config } as ModelConfig;
  const { contextTokens } = config;
  const family = familyOf(config);
  const { quantize } = options;
  const specs = quantizeSpecs(family.tensors(config, dtype, contextTokens), family.linears(config), quantize);
  const stored = new Map(specs.flatMap((spec, at) => (spec.values ? [] : [[spec.name, values(spec, at)] as const])));
  const file: TensorFile = {
    path: "memory",
    metadata: {},
    tensors: new Map(
      specs.map(({ name, shape }) => [
        name,
        { name, file: "memory", dtype: "F32", shape, offset: 0, bytes: bytesOf("f32", shape) },
      ]),
    ),
    tensor: async (name) => {
      throw new Error(`${name} is asked for whole`);
    },
    async *pieces(name, wanted) {
      const data = convert(new Uint8Array((stored.get(name) as Float32Array).buffer), "F32", wanted);
      yield { offset: 0, data: data as Uint8Array };
    },
    close: async () => undefined,
  };
  const weights = await loadResident(device, file, specs);
  return new Model({
    name: "tiny",
    folder: "tiny",
    config,
    tokenizer,
    device,
    dtype,
    quantize,
    contextTokens,
    weights,
  });
}
