// T5, T5 v1.1 and Flan-T5 (Raffel et al. 2020; Shazeer 2020 for the gate of v1.1; Chung et al. 2022). Next to read: ../model.ts.

import {
  add,
  attention,
  attentionBiased,
  embedding,
  geglu,
  relu,
  rmsNorm,
  scaledAdd,
  type Tensor,
  type Trace,
  writeRows,
} from "../../graph/index.js";
import { distanceBuckets } from "../buckets.js";
import type { T5Config } from "../config.js";
import type { ForwardInputs, SourceInputs } from "../inputs.js";
import type { LinearSite } from "../model.js";
import type { TensorSpec } from "../resident.js";
import type { Building, Family } from "./family.js";

type Side = "encoder" | "decoder";
type Attention = "SelfAttention" | "EncDecAttention";

/** The projections of one attention, by their names in the checkpoint. */
function attentionSites({ hidden, heads, headDim }: T5Config, at: string) {
  const site = (name: string, inputs: number, outputs: number) => ({ name: `${at}.${name}`, inputs, outputs });
  const inner = heads * headDim;
  return {
    q: site("q", hidden, inner),
    k: site("k", hidden, inner),
    v: site("v", hidden, inner),
    o: site("o", inner, hidden),
  } as const satisfies Record<string, LinearSite>;
}

/** Those of a feed-forward: `up` there is only with a gate. */
function feedForwardSites({ hidden, intermediate, activation }: T5Config, at: string) {
  const gated = activation === "gated-gelu";
  const site = (name: string, inputs: number, outputs: number): LinearSite => ({
    name: `${at}.${name}`,
    inputs,
    outputs,
  });
  return {
    first: site(gated ? "wi_0" : "wi", hidden, intermediate),
    up: gated ? site("wi_1", hidden, intermediate) : undefined,
    out: site("wo", intermediate, hidden),
  };
}

/** The layers of one block in order: attentions, then the feed-forward, each with a norm before it. */
function blockLayers(side: Side, block: number) {
  const layer = (i: number) => `${side}.block.${block}.layer.${i}`;
  const attentions: readonly Attention[] =
    side === "encoder" ? ["SelfAttention"] : ["SelfAttention", "EncDecAttention"];
  return { attentions: attentions.map((name, i) => ({ name, at: layer(i) })), feedForward: layer(attentions.length) };
}

function blocksOf(config: T5Config, side: Side): number {
  return side === "encoder" ? config.encoderLayers : config.decoderLayers;
}

/** All linear layers of a side, in order of use. */
function sideLinears(config: T5Config, side: Side): LinearSite[] {
  return Array.from({ length: blocksOf(config, side) }, (_, block) => {
    const { attentions, feedForward } = blockLayers(side, block);
    const { first, up, out } = feedForwardSites(config, `${feedForward}.DenseReluDense`);
    const projections = attentions.flatMap(({ name, at }) => Object.values(attentionSites(config, `${at}.${name}`)));
    return [...projections, first, ...(up ? [up] : []), out];
  }).flat();
}

/** One table for all blocks of a side, stored with the first. */
const biasName = (side: Side) => `${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`;
const bucketsName = (side: Side) => `${side}.buckets`;

export const t5: Family<T5Config> = {
  overflowsF16: "the feed-forward of T5 grows beyond 65504 (66246 was measured), so its gradients would be infinite",

  form({ decoderStart }) {
    return { kind: "seq2seq", start: decoderStart };
  },

  tensors(config, dtype) {
    const { vocab, hidden, heads, buckets, maxDistance, tied } = config;
    const specs: TensorSpec[] = [{ name: "shared.weight", dtype, shape: [vocab, hidden] }];
    const norm = (name: string) => specs.push({ name: `${name}.weight`, dtype, shape: [hidden] });
    for (const side of ["encoder", "decoder"] as const) {
      for (const { name, inputs, outputs } of sideLinears(config, side)) {
        specs.push({ name: `${name}.weight`, dtype, shape: [outputs, inputs] });
      }
      for (let block = 0; block < blocksOf(config, side); block++) {
        const { attentions, feedForward } = blockLayers(side, block);
        for (const at of [...attentions.map(({ at }) => at), feedForward]) norm(`${at}.layer_norm`);
      }
      norm(`${side}.final_layer_norm`);
      specs.push({ name: biasName(side), dtype, shape: [buckets, heads] });
      const values = () => distanceBuckets({ buckets, maxDistance, bothWays: side === "encoder" });
      specs.push({ name: bucketsName(side), dtype: "i32", shape: [2 * maxDistance + 1], values });
    }
    if (!tied) specs.push({ name: "lm_head.weight", dtype, shape: [vocab, hidden] });
    return specs;
  },

  linears(config) {
    return [...sideLinears(config, "encoder"), ...sideLinears(config, "decoder")];
  },

  hidden(model, trace, inputs) {
    const { config } = model;
    const { source } = inputs;
    if (!source) throw new RangeError("t5: the forward needs a source for its encoder");
    const { read } = source;
    const memory = "kept" in read ? undefined : encoded(model, trace, read); // [S, hidden]
    let x = embedding(model.parameter(trace, "shared.weight"), inputs.ids); // [T, hidden]
    for (let block = 0; block < config.decoderLayers; block++) {
      const { attentions, feedForward } = blockLayers("decoder", block);
      const [self, cross] = attentions.map(({ name, at }) => ({ at, name: `${at}.${name}` }));
      x = trace.scope(`layers.${config.encoderLayers + block}`, () => {
        const y = add(x, selfAttend(model, trace, "decoder", block, inputs, norm(model, trace, self?.at, x)));
        const q = model.linear(trace, attentionSites(config, `${cross?.name}`).q, norm(model, trace, cross?.at, y));
        const { k, v } = memory
          ? crossKeys(model, trace, block, memory)
          : keptKeys(config, trace, block, inputs.batch * ("kept" in read ? read.kept : 0));
        const o = attention(q, k, v, source.seen, headsOf(config, inputs.batch));
        const z = add(y, model.linear(trace, attentionSites(config, `${cross?.name}`).o, o));
        return feed(model, trace, `layers.${config.encoderLayers + block}.mlp`, feedForward, z);
      });
    }
    const y = norm(model, trace, "decoder.final", x);
    // T5 1.0, whose head is its embedding, divides what the head reads by sqrt(hidden).
    return config.tied ? scaledAdd(config.hidden ** -0.5, y) : y;
  },

  encode(model, trace, source) {
    const { config } = model;
    const memory = encoded(model, trace, source);
    const [rows] = memory.shape as readonly [number];
    const all = trace.input("source.rows", "i32", [rows]);
    for (let block = 0; block < config.decoderLayers; block++) {
      const { k, v } = crossKeys(model, trace, block, memory);
      const kept = keptKeys(config, trace, block, rows);
      writeRows(kept.k, k, all);
      writeRows(kept.v, v, all);
    }
  },

  head(model, trace) {
    return model.parameter(trace, model.config.tied ? "shared.weight" : "lm_head.weight");
  },
};

/** Attention without a scale: it is in the weights. */
function headsOf({ heads }: T5Config, batch: number) {
  return { batch, heads, kvHeads: heads, scale: 1 };
}

function norm(model: Building<T5Config>, trace: Trace, at: string | undefined, x: Tensor): Tensor {
  const name = at?.endsWith(".final") ? `${at}_layer_norm` : `${at}.layer_norm`;
  return rmsNorm(x, model.parameter(trace, `${name}.weight`), model.config.normEps);
}

/** What the encoder makes of a source, [S, hidden]. */
function encoded(model: Building<T5Config>, trace: Trace, source: SourceInputs): Tensor {
  let x = embedding(model.parameter(trace, "shared.weight"), source.ids);
  for (let block = 0; block < model.config.encoderLayers; block++) {
    const { attentions, feedForward } = blockLayers("encoder", block);
    x = trace.scope(`layers.${block}`, () => {
      const y = add(x, selfAttend(model, trace, "encoder", block, source, norm(model, trace, attentions[0]?.at, x)));
      return feed(model, trace, `layers.${block}.mlp`, feedForward, y);
    });
  }
  return norm(model, trace, "encoder.final", x);
}

function selfAttend(
  model: Building<T5Config>,
  trace: Trace,
  side: Side,
  block: number,
  inputs: Pick<ForwardInputs, "batch" | "positions" | "ranges" | "cache">,
  x: Tensor,
): Tensor {
  const { config } = model;
  const sites = attentionSites(config, `${side}.block.${block}.layer.0.SelfAttention`);
  let k = model.linear(trace, sites.k, x);
  let v = model.linear(trace, sites.v, x);
  if (inputs.cache) {
    const { rows, capacity } = inputs.cache;
    const shape = [inputs.batch * capacity, config.heads * config.headDim];
    k = writeRows(trace.state(`cache.${block}.k`, trace.activations, shape), k, rows);
    v = writeRows(trace.state(`cache.${block}.v`, trace.activations, shape), v, rows);
  }
  const distance = {
    bias: model.parameter(trace, biasName(side)),
    buckets: model.parameter(trace, bucketsName(side)),
    positions: inputs.positions,
  };
  const q = model.linear(trace, sites.q, x);
  const o = attentionBiased(q, k, v, inputs.ranges, distance, headsOf(config, inputs.batch));
  return model.linear(trace, sites.o, o);
}

/** Keys and values of a decoder's block over the source, [S, heads * headDim]. */
function crossKeys(model: Building<T5Config>, trace: Trace, block: number, memory: Tensor) {
  const sites = attentionSites(model.config, `decoder.block.${block}.layer.1.EncDecAttention`);
  return { k: model.linear(trace, sites.k, memory), v: model.linear(trace, sites.v, memory) };
}

/** The same as an earlier run has kept them. */
function keptKeys({ heads, headDim }: T5Config, trace: Trace, block: number, rows: number) {
  const kept = (part: string) => trace.state(`source.${block}.${part}`, trace.activations, [rows, heads * headDim]);
  return { k: kept("k"), v: kept("v") };
}

function feed(model: Building<T5Config>, trace: Trace, scope: string, at: string, x: Tensor): Tensor {
  return trace.scope(scope, () => {
    const { first, up, out } = feedForwardSites(model.config, `${at}.DenseReluDense`);
    const y = norm(model, trace, at, x);
    const inner = model.linear(trace, first, y);
    return add(x, model.linear(trace, out, up ? geglu(inner, model.linear(trace, up, y)) : relu(inner)));
  });
}
