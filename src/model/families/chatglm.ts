// ChatGLM-6B, the first generation (Du et al. 2022, GLM; Zeng et al. 2022, GLM-130B). Next to read: ../model.ts.

import {
  attention,
  embedding,
  gelu,
  layerNorm,
  ropeSections,
  scaledAdd,
  splitHeads,
  type Tensor,
  type Trace,
  writeRows,
} from "../../graph/index.js";
import type { ChatGlmConfig } from "../config.js";
import { chatGlmAngles } from "../frequencies.js";
import type { ForwardInputs } from "../inputs.js";
import type { LinearSite } from "../model.js";
import type { TensorSpec } from "../resident.js";
import type { Building, Family } from "./family.js";

/** The residual of every block is multiplied by this; the published code has 28 layers in it, however many the model has. */
const ALPHA = Math.sqrt(2 * 28);

/** The linear layers of one block, by their names in the checkpoint, in order of use. All have a bias. */
function blockSites({ hidden, intermediate }: ChatGlmConfig, layer: number) {
  const at = `transformer.layers.${layer}`;
  return {
    qkv: { name: `${at}.attention.query_key_value`, inputs: hidden, outputs: 3 * hidden },
    dense: { name: `${at}.attention.dense`, inputs: hidden, outputs: hidden },
    up: { name: `${at}.mlp.dense_h_to_4h`, inputs: hidden, outputs: intermediate },
    down: { name: `${at}.mlp.dense_4h_to_h`, inputs: intermediate, outputs: hidden },
  } as const satisfies Record<string, LinearSite>;
}

export const chatglm: Family<ChatGlmConfig> = {
  form({ mask, gmask, bos, eos }) {
    return { kind: "prefix", mask, gmask, sop: bos, eop: eos[0] as number };
  },

  tensors(config, dtype, contextTokens) {
    const { vocab, hidden, layers, headDim } = config;
    const specs: TensorSpec[] = [{ name: "transformer.word_embeddings.weight", dtype, shape: [vocab, hidden] }];
    const norm = (name: string) => {
      for (const part of ["weight", "bias"]) specs.push({ name: `${name}.${part}`, dtype, shape: [hidden] });
    };
    for (let layer = 0; layer < layers; layer++) {
      norm(`transformer.layers.${layer}.input_layernorm`);
      for (const { name, inputs, outputs } of Object.values(blockSites(config, layer))) {
        specs.push({ name: `${name}.weight`, dtype, shape: [outputs, inputs] });
        specs.push({ name: `${name}.bias`, dtype, shape: [outputs] });
      }
      norm(`transformer.layers.${layer}.post_attention_layernorm`);
    }
    norm("transformer.final_layernorm");
    specs.push({ name: "lm_head.weight", dtype, shape: [vocab, hidden] });
    // The place in the blank starts at 1.
    const shape = [contextTokens + 1, headDim / 4];
    const table = (of: (angle: number) => number) => () => chatGlmAngles(headDim / 2, contextTokens + 1, dtype, of);
    specs.push({ name: "rope.cos", dtype: "f32", shape, values: table(Math.cos) });
    specs.push({ name: "rope.sin", dtype: "f32", shape, values: table(Math.sin) });
    return specs;
  },

  linears(config) {
    return Array.from({ length: config.layers }, (_, layer) => Object.values(blockSites(config, layer))).flat();
  },

  /** The residual carries what the norm made, not what came in: x = ALPHA * norm(x) + attend(norm(x)), the feed-forward likewise. */
  hidden(model, trace, inputs) {
    const { config } = model;
    const norm = (name: string, of: Tensor) => {
      const [weight, bias] = ["weight", "bias"].map((part) => model.parameter(trace, `transformer.${name}.${part}`));
      return layerNorm(of, weight as Tensor, bias as Tensor, config.normEps);
    };
    let x = embedding(model.parameter(trace, "transformer.word_embeddings.weight"), inputs.ids); // [T, hidden]
    for (let layer = 0; layer < config.layers; layer++) {
      const sites = blockSites(config, layer);
      x = trace.scope(`layers.${layer}`, () => {
        const a = norm(`layers.${layer}.input_layernorm`, x);
        const y = scaledAdd(ALPHA, a, attend(model, trace, inputs, layer, a));
        return trace.scope(`layers.${layer}.mlp`, () => {
          const m = norm(`layers.${layer}.post_attention_layernorm`, y);
          const inner = gelu(model.linear(trace, sites.up, m)); // the tanh form
          return scaledAdd(ALPHA, m, model.linear(trace, sites.down, inner));
        });
      });
    }
    return norm("final_layernorm", x);
  },

  head(model, trace) {
    return model.parameter(trace, "lm_head.weight");
  },
};

/** Scores are q·k / sqrt(headDim): the published code divides by layer + 1 before the softmax and multiplies by it within. */
function attend(model: Building<ChatGlmConfig>, trace: Trace, inputs: ForwardInputs, layer: number, x: Tensor): Tensor {
  const { heads, hidden } = model.config;
  const sites = blockSites(model.config, layer);
  const [cos, sin] = [model.parameter(trace, "rope.cos"), model.parameter(trace, "rope.sin")];
  const parts = splitHeads(model.linear(trace, sites.qkv, x), heads); // three [T, hidden]
  const q = ropeSections(parts[0], cos, sin, inputs.positions, heads);
  let k = ropeSections(parts[1], cos, sin, inputs.positions, heads);
  let v = parts[2];
  if (inputs.cache) {
    const { rows, capacity } = inputs.cache;
    const shape = [inputs.batch * capacity, hidden];
    k = writeRows(trace.state(`cache.${layer}.k`, trace.activations, shape), k, rows);
    v = writeRows(trace.state(`cache.${layer}.v`, trace.activations, shape), v, rows);
  }
  const o = attention(q, k, v, inputs.ranges, { batch: inputs.batch, heads, kvHeads: heads });
  return model.linear(trace, sites.dense, o);
}
