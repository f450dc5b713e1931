// Llama and the relatives that differ by config alone: Mistral, Qwen2 (Touvron et al. 2023, section 2.2). Next to read: ../model.ts.

import {
  add,
  attention,
  embedding,
  rmsNorm,
  rope,
  swiglu,
  type Tensor,
  type Trace,
  writeRows,
} from "../../graph/index.js";
import { causal } from "../../tokens/index.js";
import type { LlamaConfig } from "../config.js";
import { ropeFrequencies } from "../frequencies.js";
import type { ForwardInputs } from "../inputs.js";
import type { LinearSite } from "../model.js";
import type { TensorSpec } from "../resident.js";
import type { Building, Family } from "./family.js";

/** The linear layers of one block, by their names in the checkpoint, in order of use. */
function blockSites(config: LlamaConfig, layer: number) {
  const { hidden, intermediate, heads, kvHeads, headDim } = config;
  const at = `model.layers.${layer}`;
  return {
    q: { name: `${at}.self_attn.q_proj`, inputs: hidden, outputs: heads * headDim },
    k: { name: `${at}.self_attn.k_proj`, inputs: hidden, outputs: kvHeads * headDim },
    v: { name: `${at}.self_attn.v_proj`, inputs: hidden, outputs: kvHeads * headDim },
    o: { name: `${at}.self_attn.o_proj`, inputs: heads * headDim, outputs: hidden },
    gate: { name: `${at}.mlp.gate_proj`, inputs: hidden, outputs: intermediate },
    up: { name: `${at}.mlp.up_proj`, inputs: hidden, outputs: intermediate },
    down: { name: `${at}.mlp.down_proj`, inputs: intermediate, outputs: hidden },
  } as const satisfies Record<string, LinearSite>;
}

function hasBias(config: LlamaConfig, projection: keyof ReturnType<typeof blockSites>): boolean {
  if (projection === "q" || projection === "k" || projection === "v") return config.qkvBias;
  return projection === "o" ? config.outputBias : config.mlpBias;
}

/** cos or sin of every angle, [contextTokens, headDim / 2] f32, computed in f64. */
function angles(config: LlamaConfig, contextTokens: number, of: (angle: number) => number): () => Float32Array {
  return () => {
    const frequencies = ropeFrequencies(config);
    const table = new Float32Array(contextTokens * frequencies.length);
    for (let i = 0; i < table.length; i++) {
      table[i] = of(Math.floor(i / frequencies.length) * (frequencies[i % frequencies.length] as number));
    }
    return table;
  };
}

export const llama: Family<LlamaConfig> = {
  form: () => causal,

  tensors(config, dtype, contextTokens) {
    const specs: TensorSpec[] = [{ name: "model.embed_tokens.weight", dtype, shape: [config.vocab, config.hidden] }];
    for (let layer = 0; layer < config.layers; layer++) {
      const sites = blockSites(config, layer);
      for (const [projection, site] of Object.entries(sites) as [keyof typeof sites, LinearSite][]) {
        specs.push({ name: `${site.name}.weight`, dtype, shape: [site.outputs, site.inputs] });
        if (hasBias(config, projection)) specs.push({ name: `${site.name}.bias`, dtype, shape: [site.outputs] });
      }
      for (const norm of ["input_layernorm", "post_attention_layernorm"]) {
        specs.push({ name: `model.layers.${layer}.${norm}.weight`, dtype, shape: [config.hidden] });
      }
    }
    specs.push({ name: "model.norm.weight", dtype, shape: [config.hidden] });
    if (!config.tied) specs.push({ name: "lm_head.weight", dtype, shape: [config.vocab, config.hidden] });
    const shape = [contextTokens, config.headDim / 2];
    specs.push({ name: "rope.cos", dtype: "f32", shape, values: angles(config, contextTokens, Math.cos) });
    specs.push({ name: "rope.sin", dtype: "f32", shape, values: angles(config, contextTokens, Math.sin) });
    return specs;
  },

  linears(config) {
    return Array.from({ length: config.layers }, (_, layer) => Object.values(blockSites(config, layer))).flat();
  },

  hidden(model, trace, inputs) {
    const { config } = model;
    let x = embedding(model.parameter(trace, "model.embed_tokens.weight"), inputs.ids); // [T, hidden]
    for (let layer = 0; layer < config.layers; layer++) {
      const norm = (name: string, of: Tensor) =>
        rmsNorm(of, model.parameter(trace, `model.layers.${layer}.${name}.weight`), config.normEps);
      x = trace.scope(`layers.${layer}`, () => {
        const y = add(x, attend(model, trace, inputs, layer, norm("input_layernorm", x)));
        return trace.scope(`layers.${layer}.mlp`, () => {
          return add(y, feedForward(model, trace, layer, norm("post_attention_layernorm", y)));
        });
      });
    }
    return rmsNorm(x, model.parameter(trace, "model.norm.weight"), config.normEps);
  },

  head(model, trace) {
    return model.parameter(trace, model.config.tied ? "model.embed_tokens.weight" : "lm_head.weight");
  },
};

function attend(model: Building<LlamaConfig>, trace: Trace, inputs: ForwardInputs, layer: number, x: Tensor): Tensor {
  const { heads, kvHeads, headDim } = model.config;
  const sites = blockSites(model.config, layer);
  const turn = (of: Tensor, count: number) =>
    rope(of, model.parameter(trace, "rope.cos"), model.parameter(trace, "rope.sin"), inputs.positions, {
      heads: count,
    });
  const q = turn(model.linear(trace, sites.q, x), heads); //   [T, heads * headDim]
  let k = turn(model.linear(trace, sites.k, x), kvHeads); //   [T, kvHeads * headDim]
  let v = model.linear(trace, sites.v, x);
  if (inputs.cache) {
    const { rows, capacity } = inputs.cache;
    const shape = [inputs.batch * capacity, kvHeads * headDim];
    k = writeRows(trace.state(`cache.${layer}.k`, trace.activations, shape), k, rows);
    v = writeRows(trace.state(`cache.${layer}.v`, trace.activations, shape), v, rows);
  }
  const o = attention(q, k, v, inputs.ranges, { batch: inputs.batch, heads, kvHeads });
  return model.linear(trace, sites.o, o);
}

function feedForward(model: Building<LlamaConfig>, trace: Trace, layer: number, x: Tensor): Tensor {
  const sites = blockSites(model.config, layer);
  const gate = model.linear(trace, sites.gate, x);
  return model.linear(trace, sites.down, swiglu(gate, model.linear(trace, sites.up, x)));
}
