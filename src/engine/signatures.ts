// Dtype and shape of every operand of every op, as the op table's comments say. Read by validate.ts.

import type { OpName } from "./ops.js";

/**
 * "dtype [sizes]" per operand. Dtypes: `act` one floating dtype for all such operands of the op, `float` any floating dtype,
 * `act/f32` the same as act or f32, `float/quantized` any floating dtype or a format of quantized.ts, `any` all but those. A size is a name, bound where it is first met, a number, an attribute, or a product of these.
 * `[...]` is any shape, the same for all operands of the op that say so.
 */
export const signatures: { readonly [O in OpName]: Readonly<Record<string, string>> } = {
  embedding: { weight: "float [V, H]", ids: "i32 [T]", y: "act [T, H]" },
  embeddingWeight: { dy: "act [T, H]", ids: "i32 [T]", dWeight: "f32 [V, H]" },
  rmsNorm: { x: "act [T, H]", weight: "float [H]", y: "act [T, H]", rstd: "f32 [T]" },
  rmsNormInput: { dy: "act [T, H]", x: "act [T, H]", weight: "float [H]", rstd: "f32 [T]", dx: "act [T, H]" },
  rmsNormWeight: { dy: "act [T, H]", x: "act [T, H]", rstd: "f32 [T]", dWeight: "f32 [H]" },
  linear: {
    x: "act [T, K]",
    w: "float/quantized [N, K]",
    bias: "float [N]",
    h: "act [T, r]",
    b: "float [N, r]",
    y: "act/f32 [T, N]",
  },
  linearInput: { dy: "act [T, N]", w: "float/quantized [N, K]", g: "act [T, r]", a: "float [r, K]", dx: "act [T, K]" },
  linearWeight: { dy: "act [T, N]", x: "act [T, K]", dW: "f32 [N, K]" },
  linearBias: { dy: "act [T, N]", db: "f32 [N]" },
  rope: {
    x: "act [T, heads*D]",
    cos: "f32 [P, C]",
    sin: "f32 [P, C]",
    positions: "i32 [T]",
    y: "act [T, heads*D]",
  },
  attention: {
    q: "act [batch*Q, heads*D]",
    k: "act [batch*S, kvHeads*D]",
    v: "act [batch*S, kvHeads*D]",
    ranges: "i32 [batch*Q, 2]",
    o: "act [batch*Q, heads*D]",
    lse: "f32 [batch*Q, heads]",
  },
  attentionBackward: {
    do: "act [batch*Q, heads*D]",
    q: "act [batch*Q, heads*D]",
    k: "act [batch*S, kvHeads*D]",
    v: "act [batch*S, kvHeads*D]",
    o: "act [batch*Q, heads*D]",
    lse: "f32 [batch*Q, heads]",
    ranges: "i32 [batch*Q, 2]",
    dq: "act [batch*Q, heads*D]",
    dk: "act [batch*S, kvHeads*D]",
    dv: "act [batch*S, kvHeads*D]",
  },
  swiglu: { gate: "act [T, N]", up: "act [T, N]", y: "act [T, N]" },
  swigluBackward: {
    dy: "act [T, N]",
    gate: "act [T, N]",
    up: "act [T, N]",
    dGate: "act [T, N]",
    dUp: "act [T, N]",
  },
  add: { a: "act [...]", b: "act [...]", y: "act [...]" },
  cast: { x: "float/quantized [...]", y: "float/quantized [...]" },
  gatherRows: { x: "act [R, H]", rows: "i32 [n]", y: "act [n, H]" },
  writeRows: { x: "act [T, H]", rows: "i32 [T]", cache: "act [R, H]" },
  headLoss: {
    x: "act [T, H]",
    w: "float [V, H]",
    labels: "i32 [T]",
    nll: "f32 [T]",
    totals: "f32 [2]",
    dx: "act [T, H]",
    dw: "f32 [V, H]",
    logits: "f32 [chunk, V]",
  },
  zero: { x: "any [...]" },
  sumSquares: { x: "f32 [...]", total: "f32 [1]" },
  adamw: { grad: "f32 [...]", total: "f32 [1]", param: "f32 [...]", m: "f32 [...]", v: "f32 [...]" },
  dropout: { x: "act [...]", y: "act [...]" },
  layerNorm: {
    x: "act [T, H]",
    weight: "float [H]",
    bias: "float [H]",
    y: "act [T, H]",
    mean: "f32 [T]",
    rstd: "f32 [T]",
  },
  layerNormInput: {
    dy: "act [T, H]",
    x: "act [T, H]",
    weight: "float [H]",
    mean: "f32 [T]",
    rstd: "f32 [T]",
    dx: "act [T, H]",
  },
  layerNormWeight: { dy: "act [T, H]", x: "act [T, H]", mean: "f32 [T]", rstd: "f32 [T]", dWeight: "f32 [H]" },
  gelu: { x: "act [...]", y: "act [...]" },
  geluBackward: { dy: "act [...]", x: "act [...]", dx: "act [...]" },
  geglu: { gate: "act [T, N]", up: "act [T, N]", y: "act [T, N]" },
  gegluBackward: {
    dy: "act [T, N]",
    gate: "act [T, N]",
    up: "act [T, N]",
    dGate: "act [T, N]",
    dUp: "act [T, N]",
  },
  relu: { x: "act [...]", y: "act [...]" },
  reluBackward: { dy: "act [...]", x: "act [...]", dx: "act [...]" },
  scaledAdd: { a: "act [...]", b: "act [...]", y: "act [...]" },
  splitHeads: { x: "act [T, heads*3*D]", a: "act [T, heads*D]", b: "act [T, heads*D]", c: "act [T, heads*D]" },
  joinHeads: { a: "act [T, heads*D]", b: "act [T, heads*D]", c: "act [T, heads*D]", x: "act [T, heads*3*D]" },
  ropeSections: {
    cos: "f32 [P, C]",
    sin: "f32 [P, C]",
    positions: "i32 [T, G]",
    x: "act [T, heads*2*C*G]",
    y: "act [T, heads*2*C*G]",
  },
  attentionBiased: {
    q: "act [batch*Q, heads*D]",
    k: "act [batch*S, kvHeads*D]",
    v: "act [batch*S, kvHeads*D]",
    ranges: "i32 [batch*Q, 2]",
    positions: "i32 [batch*Q]",
    bias: "float [B, heads]",
    buckets: "i32 [W]",
    o: "act [batch*Q, heads*D]",
    lse: "f32 [batch*Q, heads]",
  },
  attentionBiasedBackward: {
    do: "act [batch*Q, heads*D]",
    q: "act [batch*Q, heads*D]",
    k: "act [batch*S, kvHeads*D]",
    v: "act [batch*S, kvHeads*D]",
    o: "act [batch*Q, heads*D]",
    lse: "f32 [batch*Q, heads]",
    ranges: "i32 [batch*Q, 2]",
    positions: "i32 [batch*Q]",
    bias: "float [B, heads]",
    buckets: "i32 [W]",
    dq: "act [batch*Q, heads*D]",
    dk: "act [batch*S, kvHeads*D]",
    dv: "act [batch*S, kvHeads*D]",
    dBias: "f32 [B, heads]",
  },
};

/** Optional operands that are there together or not at all. */
export const together: { readonly [O in OpName]?: readonly [string, string] } = {
  linear: ["h", "b"],
  linearInput: ["g", "a"],
};

/** Attributes that are whole numbers from 1. */
export const counts: readonly string[] = ["batch", "heads", "kvHeads", "chunk"];

/** Attributes that are 0 or 1. */
export const switches: readonly string[] = ["accumulate", "interleaved", "inverse"];
