// The ops that model code calls: each checks its operands, names its result's shape and records itself. Same order as engine/ops.ts,
// where the formulas are; their gradients are in gradients.ts.

import type { DType } from "../engine/dtype.js";
import { bindShape, ShapeError, type Tensor } from "./tensor.js";

/** weight[ids].   weight [vocab, hidden], ids [tokens] i32 -> [tokens, hidden] */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
  const { trace } = weight;
  const { hidden } = bindShape("embedding: weight", weight, ["vocab", "hidden"]);
  const { tokens } = bindShape("embedding: ids", ids, ["tokens"]);
  const y = trace.value("embedding", trace.activations, [tokens, hidden], { learns: weight.learns });
  trace.record("embedding", [weight, ids], [y], []);
  return y;
}

/** x / sqrt(mean(x²) + eps) * weight, along each row.   x [tokens, hidden], weight [hidden] */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  const { trace } = x;
  const { tokens, hidden } = bindShape("rmsNorm: x", x, ["tokens", "hidden"]);
  bindShape("rmsNorm: weight", weight, [hidden]);
  const y = trace.value("norm", x.dtype, x.shape, { learns: x.learns || weight.learns });
  trace.record("rmsNorm", [x, weight], [y, trace.value("rstd", "f32", [tokens])], [eps]);
  return y;
}

export interface LinearOptions {
  /** [out] */
  readonly bias?: Tensor | undefined;
  /** A low-rank update that rides along: y += scale * (input Aᵀ) Bᵀ, with input x when it is not given. A [rank, in], B [out, rank]. */
  readonly lora?:
    | { readonly a: Tensor; readonly b: Tensor; readonly scale: number; readonly input?: Tensor }
    | undefined;
  /** Dtype of the result. @default that of x */
  readonly dtype?: DType;
}

/** x Wᵀ + bias.   x [tokens, in], w [out, in] -> [tokens, out] */
export function linear(x: Tensor, w: Tensor, { bias, lora, dtype = x.dtype }: LinearOptions = {}): Tensor {
  const { trace } = x;
  const { tokens, inputs } = bindShape("linear: x", x, ["tokens", "inputs"]);
  const { outputs } = bindShape("linear: w", w, ["outputs", inputs]);
  if (bias) bindShape("linear: bias", bias, [outputs]);
  let h: Tensor | undefined;
  if (lora) {
    const { rank } = bindShape("linear: A", lora.a, ["rank", inputs]);
    bindShape("linear: B", lora.b, [outputs, rank]);
    h = linear(lora.input ?? x, lora.a);
  }
  const learns = [x, w, bias, h, lora?.b].some((tensor) => tensor?.learns);
  const y = trace.value("linear", dtype, [tokens, outputs], { learns });
  trace.record("linear", [x, w, bias, h, lora?.b], [y], [lora?.scale ?? 1]);
  return y;
}

export interface RopeOptions {
  readonly heads: number;
  /** Pairs (2i, 2i + 1) instead of (i, i + half). @default false */
  readonly interleaved?: boolean;
}

/** Rotary position embedding.   x [tokens, heads * headDim], cos and sin [positions, cols] f32, positions [tokens] i32 */
export function rope(
  x: Tensor,
  cos: Tensor,
  sin: Tensor,
  positions: Tensor,
  { heads, interleaved = false }: RopeOptions,
): Tensor {
  const { trace } = x;
  const { tokens, width } = bindShape("rope: x", x, ["tokens", "width"]);
  const { places, cols } = bindShape("rope: cos", cos, ["places", "cols"]);
  bindShape("rope: sin", sin, [places, cols]);
  bindShape("rope: positions", positions, [tokens]);
  if (width % heads !== 0 || (width / heads) % 2 !== 0 || 2 * cols > width / heads) {
    throw new ShapeError(
      `rope: "${x.name}" is ${width} wide, expected ${heads} heads of an even size of at least ${2 * cols}`,
    );
  }
  const y = trace.value("rope", x.dtype, x.shape, { learns: x.learns });
  trace.record("rope", [x, cos, sin, positions], [y], [heads, interleaved ? 1 : 0, 0]);
  return y;
}

export interface AttentionOptions {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** @default 1 / sqrt(headDim) */
  readonly scale?: number;
}

/** Softmax attention, each query over its range of keys.   q [batch * seq, heads * headDim], k and v [batch * keys, kvHeads * headDim] */
export function attention(q: Tensor, k: Tensor, v: Tensor, ranges: Tensor, options: AttentionOptions): Tensor {
  const { trace } = q;
  const { batch, heads, kvHeads, headDim, tokens } = checkAttention(q, k, v, ranges, options);
  const o = trace.value("attention", q.dtype, q.shape, { learns: q.learns || k.learns || v.learns });
  const lse = trace.value("lse", "f32", [tokens, heads]);
  trace.record(
    "attention",
    [q, k, v, ranges],
    [o, lse],
    [batch, heads, kvHeads, options.scale ?? 1 / Math.sqrt(headDim)],
  );
  return o;
}

function checkAttention(q: Tensor, k: Tensor, v: Tensor, ranges: Tensor, { batch, heads, kvHeads }: AttentionOptions) {
  const { tokens, width } = bindShape("attention: q", q, ["tokens", "width"]);
  const headDim = width / heads;
  const { keys } = bindShape("attention: k", k, ["keys", kvHeads * headDim]);
  bindShape("attention: v", v, [keys, kvHeads * headDim]);
  bindShape("attention: ranges", ranges, [tokens, 2]);
  if (!Number.isInteger(headDim) || heads % kvHeads !== 0 || tokens % batch !== 0 || keys % batch !== 0) {
    throw new ShapeError(
      `attention: ${tokens} queries of width ${width} and ${keys} keys do not divide into batch ${batch}, ${heads} heads, ${kvHeads} key heads`,
    );
  }
  return { batch, heads, kvHeads, headDim, tokens };
}

/** silu(gate) * up */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  const { trace } = gate;
  bindShape("swiglu: up", up, gate.shape);
  const y = trace.value("swiglu", gate.dtype, gate.shape, { learns: gate.learns || up.learns });
  trace.record("swiglu", [gate, up], [y], []);
  return y;
}

/** a + b */
export function add(a: Tensor, b: Tensor): Tensor {
  const { trace } = a;
  bindShape("add: b", b, a.shape);
  const y = trace.value("add", a.dtype, a.shape, { learns: a.learns || b.learns });
  trace.record("add", [a, b], [y], []);
  return y;
}

/** x in another dtype. */
export function cast(x: Tensor, dtype: DType): Tensor {
  const { trace } = x;
  const y = trace.value("cast", dtype, x.shape, { learns: x.learns });
  trace.record("cast", [x], [y], []);
  return y;
}

/** x[rows].   x [tokens, hidden], rows [n] i32 -> [n, hidden]. Only for inference: no gradient. */
export function gatherRows(x: Tensor, rows: Tensor): Tensor {
  const { trace } = x;
  const { hidden } = bindShape("gatherRows: x", x, ["tokens", "hidden"]);
  const { count } = bindShape("gatherRows: rows", rows, ["count"]);
  const y = trace.value("rows", x.dtype, [count, hidden]);
  trace.record("gatherRows", [x, rows], [y], []);
  return y;
}

/** cache[rows[t]] = x[t], negative rows left out.   cache [places, hidden] is a state; the result is that state. */
export function writeRows(cache: Tensor, x: Tensor, rows: Tensor): Tensor {
  const { trace } = x;
  const { hidden } = bindShape("writeRows: cache", cache, ["places", "hidden"]);
  const { tokens } = bindShape("writeRows: x", x, ["tokens", hidden]);
  bindShape("writeRows: rows", rows, [tokens]);
  trace.record("writeRows", [x, rows], [cache], []);
  return cache;
}

/** Rows of logits whose bytes stay below 32 MiB: more rows share the work of reading the matrix, up to what a device takes at once. */
const rowsAtOnce = (vocab: number) => Math.min(512, Math.max(128, Math.floor(2 ** 25 / (4 * vocab) / 32) * 32));

/**
 * Cross-entropy of the head's scores, `chunk` rows of logits at a time; where it is left out, as many as fit 32 MiB, from 128 to 512.
 *
 *     x [tokens, hidden]   w [vocab, hidden]   labels [tokens] i32 or IGNORED
 *     nll [tokens] f32     totals [2] f32: sum of nll and count of labels, added to by every run
 */
export function headLoss(
  x: Tensor,
  w: Tensor,
  labels: Tensor,
  { chunk }: { readonly chunk?: number } = {},
): { readonly nll: Tensor; readonly totals: Tensor } {
  const { trace } = x;
  const { tokens, hidden } = bindShape("headLoss: x", x, ["tokens", "hidden"]);
  const { vocab } = bindShape("headLoss: w", w, ["vocab", hidden]);
  bindShape("headLoss: labels", labels, [tokens]);
  const rows = Math.min(chunk ?? rowsAtOnce(vocab), tokens);
  const nll = trace.value("nll", "f32", [tokens]);
  const totals = trace.value("totals", "f32", [2], { learns: x.learns || w.learns });
  const logits = trace.value("logits", "f32", [rows, vocab], { place: "scratch" });
  trace.record("headLoss", [x, w, labels], [nll, totals, undefined, undefined, logits], [rows]);
  return { nll, totals };
}

/** x with elements dropped with probability p and the others divided by 1 - p. `stream` tells one place in the model from another. */
export function dropout(x: Tensor, { p, stream }: { readonly p: number; readonly stream: number }): Tensor {
  if (!(p >= 0 && p < 1)) throw new RangeError(`dropout: expected \`p\` from 0 to below 1, got ${p}`);
  if (p === 0) return x;
  const { trace } = x;
  const y = trace.value("dropout", x.dtype, x.shape, { learns: x.learns });
  trace.record("dropout", [x], [y], [p, stream]);
  return y;
}

/** (x - mean) / sqrt(variance + eps) * weight + bias, along each row.   x [tokens, hidden], weight and bias [hidden] */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor {
  const { trace } = x;
  const { tokens, hidden } = bindShape("layerNorm: x", x, ["tokens", "hidden"]);
  bindShape("layerNorm: weight", weight, [hidden]);
  bindShape("layerNorm: bias", bias, [hidden]);
  const y = trace.value("norm", x.dtype, x.shape, { learns: x.learns || weight.learns || bias.learns });
  const [mean, rstd] = [trace.value("mean", "f32", [tokens]), trace.value("rstd", "f32", [tokens])];
  trace.record("layerNorm", [x, weight, bias], [y, mean, rstd], [eps]);
  return y;
}

/** The tanh form of gelu, elementwise. */
export function gelu(x: Tensor): Tensor {
  return elementwise("gelu", x);
}

/** gelu(gate) * up */
export function geglu(gate: Tensor, up: Tensor): Tensor {
  const { trace } = gate;
  bindShape("geglu: up", up, gate.shape);
  const y = trace.value("geglu", gate.dtype, gate.shape, { learns: gate.learns || up.learns });
  trace.record("geglu", [gate, up], [y], []);
  return y;
}

/** max(x, 0) */
export function relu(x: Tensor): Tensor {
  return elementwise("relu", x);
}

function elementwise(op: "gelu" | "relu", x: Tensor): Tensor {
  const y = x.trace.value(op, x.dtype, x.shape, { learns: x.learns });
  x.trace.record(op, [x], [y], []);
  return y;
}

/** alpha * a + b, or alpha * a without b. */
export function scaledAdd(alpha: number, a: Tensor, b?: Tensor): Tensor {
  const { trace } = a;
  if (b) bindShape("scaledAdd: b", b, a.shape);
  const y = trace.value("scaledAdd", a.dtype, a.shape, { learns: a.learns || (b?.learns ?? false) });
  trace.record("scaledAdd", [a, b], [y], [alpha]);
  return y;
}

/** The three parts of each head: x [tokens, heads * 3 * headDim], head by head, to three tensors [tokens, heads * headDim]. */
export function splitHeads(x: Tensor, heads: number): readonly [Tensor, Tensor, Tensor] {
  const { trace } = x;
  const { tokens, width } = bindShape("splitHeads: x", x, ["tokens", "width"]);
  if (width % (3 * heads) !== 0) {
    throw new ShapeError(
      `splitHeads: "${x.name}" is ${width} wide, expected three equal parts for each of ${heads} heads`,
    );
  }
  const part = () => trace.value("part", x.dtype, [tokens, width / 3], { learns: x.learns });
  const parts = [part(), part(), part()] as const;
  trace.record("splitHeads", [x], parts, [heads]);
  return parts;
}

/**
 * Rotary position embedding with a position for each section of a head.
 *
 *     x [tokens, heads * sections * 2 * cols]   cos and sin [places, cols] f32   positions [tokens, sections] i32
 */
export function ropeSections(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, heads: number): Tensor {
  const { trace } = x;
  const { tokens } = bindShape("ropeSections: x", x, ["tokens", "width"]);
  const { places, cols } = bindShape("ropeSections: cos", cos, ["places", "cols"]);
  bindShape("ropeSections: sin", sin, [places, cols]);
  const { sections } = bindShape("ropeSections: positions", positions, [tokens, "sections"]);
  bindShape("ropeSections: x", x, [tokens, heads * sections * 2 * cols]);
  const y = trace.value("rope", x.dtype, x.shape, { learns: x.learns });
  trace.record("ropeSections", [cos, sin, positions, x], [y], [heads, 0]);
  return y;
}

/** A number that each distance between query and key adds to its score. */
export interface DistanceBias {
  /** [buckets, heads] */
  readonly bias: Tensor;
  /** The row of `bias` for each distance, [distances] i32, the middle one for 0; further distances take the nearest one's. */
  readonly buckets: Tensor;
  /** Place of each query among the keys of its row, [tokens] i32. */
  readonly positions: Tensor;
}

/** As `attention`, with a number by distance added to each score. */
export function attentionBiased(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  ranges: Tensor,
  { bias, buckets, positions }: DistanceBias,
  options: AttentionOptions,
): Tensor {
  const { trace } = q;
  const { batch, heads, kvHeads, headDim, tokens } = checkAttention(q, k, v, ranges, options);
  bindShape("attentionBiased: bias", bias, ["buckets", heads]);
  bindShape("attentionBiased: buckets", buckets, ["distances"]);
  bindShape("attentionBiased: positions", positions, [tokens]);
  const learns = [q, k, v, bias].some((tensor) => tensor.learns);
  const o = trace.value("attention", q.dtype, q.shape, { learns });
  trace.record(
    "attentionBiased",
    [q, k, v, ranges, positions, bias, buckets],
    [o, trace.value("lse", "f32", [tokens, heads])],
    [batch, heads, kvHeads, options.scale ?? 1 / Math.sqrt(headDim)],
  );
  return o;
}
