// The ops every Device runs: names, operands and formulas. Next to read: program.ts, how they are strung together.
//
// Shapes: T = batch * seq tokens, H = hidden, K and N = inputs and outputs of a matrix, r = rank, V = vocabulary.
// Activations are f32, bf16 or f16 ("act"), one dtype within a Program unless an op says otherwise; sums are always f32 or wider.
// A number that becomes bf16 is rounded to nearest, ties to even; one below 2^-126 may become 0, because processors' bf16 instructions
// know no smaller ones.
// "weight" operands may be f32, bf16 or f16 whatever the activations are, a "matrix" also a format of quantized.ts. A trained tensor,
// its gradient and moments are f32.
// "=" overwrites the output, "+=" adds to it. Optional operands are marked "?", and are -1 in a record when absent.
// An output may share the buffer of an input only where `inPlace` names that pair.

export interface OpSpec {
  /** Code in a serialized Program. Never reused. */
  readonly code: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attrs: readonly string[];
  /** [output, input] pairs that may be the same buffer. */
  readonly inPlace?: readonly (readonly [string, string])[];
}

export const ops = {
  /** y[t] = weight[ids[t]].   y [T, H] act, weight [V, H], ids [T] i32. An id outside the table is an error that names it. */
  embedding: { code: 1, inputs: ["weight", "ids"], outputs: ["y"], attrs: [] },

  /** dWeight[ids[t]] += dy[t], in the order of t.   dWeight [V, H] f32, dy [T, H]. */
  embeddingWeight: { code: 2, inputs: ["dy", "ids"], outputs: ["dWeight"], attrs: [] },

  /** y = x * rstd * weight, rstd = 1 / sqrt(mean(x²) + eps).   x, y [T, H], weight [H], rstd [T] f32. Zhang and Sennrich 2019. */
  rmsNorm: { code: 3, inputs: ["x", "weight"], outputs: ["y", "rstd"], attrs: ["eps"] },

  /** dx (= or += when accumulate is 1) rstd * (dy*weight - x * rstd² * mean(dy*weight*x)). */
  rmsNormInput: {
    code: 4,
    inputs: ["dy", "x", "weight", "rstd"],
    outputs: ["dx"],
    attrs: ["accumulate"],
    inPlace: [["dx", "dy"]],
  },

  /** dWeight += sum over t of dy * x * rstd.   dWeight [H] f32. */
  rmsNormWeight: { code: 5, inputs: ["dy", "x", "rstd"], outputs: ["dWeight"], attrs: [] },

  /**
   * y = x Wᵀ + bias + scale * h Bᵀ.
   *
   *     x [T, K] act   w [N, K] matrix   bias? [N] weight   h? [T, r] act   b? [N, r] weight   y [T, N] act, or f32 (logits)
   *
   * `h` and `b` come together: the adapter's product rides along. Compute precision is x's dtype:
   * when x is bf16, an f32 `w` or `b` is rounded to bf16 on its way into the product, and so are the f32 numbers of a quantised `w`,
   * though a device may multiply those as they are; when x is f16, they may be rounded to f16.
   */
  linear: { code: 6, inputs: ["x", "w", "bias?", "h?", "b?"], outputs: ["y"], attrs: ["scale"] },

  /** dx (= or +=) alpha * dy W + g A.   dy [T, N], w [N, K] matrix, g? [T, r] act with a? [r, K] weight, dx [T, K]. */
  linearInput: { code: 7, inputs: ["dy", "w", "g?", "a?"], outputs: ["dx"], attrs: ["alpha", "accumulate"] },

  /** dW += alpha * dyᵀ x.   dy [T, N], x [T, K], dW [N, K] f32. */
  linearWeight: { code: 8, inputs: ["dy", "x"], outputs: ["dW"], attrs: ["alpha"] },

  /** db[n] += sum over t of dy[t, n].   db [N] f32. */
  linearBias: { code: 9, inputs: ["dy"], outputs: ["db"], attrs: [] },

  /**
   * Rotary position embedding of each head's first 2 * cols dimensions; the rest is copied.
   *
   *     x, y [T, heads * headDim] act   cos, sin [positions, cols] f32   positions [T] i32
   *     interleaved 0: pairs (i, i + cols), Hugging Face's Llama.   interleaved 1: pairs (2i, 2i + 1), the paper's.
   *     (a, b) -> (a cos - b sin, b cos + a sin); inverse 1 turns the other way, which is also the gradient.
   *
   * Su et al. 2021, section 3.4.
   */
  rope: {
    code: 10,
    inputs: ["x", "cos", "sin", "positions"],
    outputs: ["y"],
    attrs: ["heads", "interleaved", "inverse"],
    inPlace: [["y", "x"]],
  },

  /**
   * Softmax attention; a mask is a range of keys per query.
   *
   *     q, o [batch * seqQ, heads * headDim]   k, v [batch * seqK, kvHeads * headDim]   act
   *     ranges [batch * seqQ, 2] i32: query t sees the keys from ranges[t][0] up to and without ranges[t][1] of its own row of the batch
   *     lse [batch * seqQ, heads] f32: log of the softmax's denominator, kept for the backward
   *
   * Causal is [0, t + 1), a packed segment [start, t + 1), a GLM prefix [0, max(t + 1, prefix)), bidirectional [0, length).
   * A query with an empty range (padding) gets o = 0 and lse = 0. heads is a multiple of kvHeads (grouped queries).
   * The score matrix is never stored.
   */
  attention: {
    code: 11,
    inputs: ["q", "k", "v", "ranges"],
    outputs: ["o", "lse"],
    attrs: ["batch", "heads", "kvHeads", "scale"],
  },

  /** dq =, dk =, dv = of `attention`, from do, its operands and results. Same shapes and dtypes as q, k, v. */
  attentionBackward: {
    code: 12,
    inputs: ["do", "q", "k", "v", "o", "lse", "ranges"],
    outputs: ["dq", "dk", "dv"],
    attrs: ["batch", "heads", "kvHeads", "scale"],
  },

  /** y = gate * sigmoid(gate) * up.   All [T, N]. Shazeer 2020. */
  swiglu: {
    code: 13,
    inputs: ["gate", "up"],
    outputs: ["y"],
    attrs: [],
    inPlace: [
      ["y", "gate"],
      ["y", "up"],
    ],
  },

  swigluBackward: {
    code: 14,
    inputs: ["dy", "gate", "up"],
    outputs: ["dGate", "dUp"],
    attrs: [],
    inPlace: [
      ["dGate", "gate"],
      ["dUp", "up"],
      ["dGate", "dy"],
      ["dUp", "dy"],
    ],
  },

  /** y = a + b, any equal shapes. */
  add: {
    code: 15,
    inputs: ["a", "b"],
    outputs: ["y"],
    attrs: [],
    inPlace: [
      ["y", "a"],
      ["y", "b"],
    ],
  },

  /** y = x in y's dtype. One of them may be a matrix in a format of quantized.ts, whose codes are the same on every device. */
  cast: { code: 16, inputs: ["x"], outputs: ["y"], attrs: [] },

  /** y[i] = x[rows[i]].   rows [n] i32, y [n, H]. */
  gatherRows: { code: 17, inputs: ["x", "rows"], outputs: ["y"], attrs: [] },

  /** cache[rows[t]] = x[t]; a negative row is left out.   cache [R, H], x [T, H], rows [T] i32. The rest of cache stays. */
  writeRows: { code: 18, inputs: ["x", "rows"], outputs: ["cache"], attrs: [] },

  /**
   * The head's matrix product and cross-entropy, `chunk` rows at a time, so that the logits of all tokens never exist at once.
   *
   *     x [T, H] act   w [V, H] weight   labels [T] i32, IGNORED rows are skipped (and cost nothing)
   *     nll [T] f32 = -log softmax(x wᵀ)[label], 0 where ignored
   *     totals [2] f32 += (sum of nll, number of labels), summed in f64, in order
   *     dx? [T, H] act = gradient of lossScale * sum of nll (zero rows where ignored)     dw? [V, H] f32 += the same for w
   *     logits [chunk, V] f32, scratch
   *
   * nll is made of f32 logits. Their gradient may be rounded to x's dtype before it is multiplied, as PyTorch's autocast does.
   */
  headLoss: {
    code: 19,
    inputs: ["x", "w", "labels"],
    outputs: ["nll", "totals", "dx?", "dw?", "logits"],
    attrs: ["chunk"],
  },

  /** x = 0. */
  zero: { code: 20, inputs: [], outputs: ["x"], attrs: [] },

  /** total += sum of x², in f64, in order of blocks of 4096.   x f32, total [1] f32. */
  sumSquares: { code: 21, inputs: ["x"], outputs: ["total"], attrs: [] },

  /**
   * Decoupled AdamW with clipping by global norm, elementwise over n.
   *
   *     norm = sqrt(total) * gradScale          total [1] f32: sum of squares of all gradients
   *     c = clipNorm > 0 ? min(1, clipNorm / (norm + 1e-6)) : 1
   *     g = grad * gradScale * c
   *     param *= 1 - rate * decay,  m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g²
   *     param -= rate * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)          rate = learningRate * rateFactor
   *
   * When `total` is not finite, nothing is written: the caller sees it and reports a skipped update.
   * Loshchilov and Hutter 2019, algorithm 2; operations in PyTorch's order.
   */
  adamw: {
    code: 22,
    inputs: ["grad", "total"],
    outputs: ["param", "m", "v"],
    attrs: ["beta1", "beta2", "eps", "decay", "rateFactor"],
  },

  /**
   * y = x * keep / (1 - p), keep from a counter: hash(seed, step, micro, stream, element) >= p. The same call with dy gives dx.
   * The hash is `keepsElement` in random.ts, bit for bit on every device.
   */
  dropout: { code: 23, inputs: ["x"], outputs: ["y"], attrs: ["p", "stream"], inPlace: [["y", "x"]] },

  /** y = (x - mean) * rstd * weight + bias, rstd = 1 / sqrt(mean((x - mean)²) + eps).   mean, rstd [T] f32. Ba, Kiros and Hinton 2016. */
  layerNorm: { code: 24, inputs: ["x", "weight", "bias"], outputs: ["y", "mean", "rstd"], attrs: ["eps"] },

  /** With g = dy * weight and n = (x - mean) * rstd: dx (= or +=) rstd * (g - mean(g) - n * mean(g * n)). The bias's gradient is linearBias. */
  layerNormInput: {
    code: 25,
    inputs: ["dy", "x", "weight", "mean", "rstd"],
    outputs: ["dx"],
    attrs: ["accumulate"],
    inPlace: [["dx", "dy"]],
  },

  /** dWeight += sum over t of dy * (x - mean) * rstd.   dWeight [H] f32. */
  layerNormWeight: { code: 26, inputs: ["dy", "x", "mean", "rstd"], outputs: ["dWeight"], attrs: [] },

  /** y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x³))). Hendrycks and Gimpel 2016, the approximation of section 2. */
  gelu: { code: 27, inputs: ["x"], outputs: ["y"], attrs: [], inPlace: [["y", "x"]] },

  geluBackward: {
    code: 28,
    inputs: ["dy", "x"],
    outputs: ["dx"],
    attrs: [],
    inPlace: [
      ["dx", "dy"],
      ["dx", "x"],
    ],
  },

  /** y = gelu(gate) * up, with the gelu above.   All [T, N]. Shazeer 2020. */
  geglu: {
    code: 29,
    inputs: ["gate", "up"],
    outputs: ["y"],
    attrs: [],
    inPlace: [
      ["y", "gate"],
      ["y", "up"],
    ],
  },

  gegluBackward: {
    code: 30,
    inputs: ["dy", "gate", "up"],
    outputs: ["dGate", "dUp"],
    attrs: [],
    inPlace: [
      ["dGate", "gate"],
      ["dUp", "up"],
      ["dGate", "dy"],
      ["dUp", "dy"],
    ],
  },

  /** y = max(x, 0). */
  relu: { code: 31, inputs: ["x"], outputs: ["y"], attrs: [], inPlace: [["y", "x"]] },

  /** dx = dy where x > 0, else 0. */
  reluBackward: {
    code: 32,
    inputs: ["dy", "x"],
    outputs: ["dx"],
    attrs: [],
    inPlace: [
      ["dx", "dy"],
      ["dx", "x"],
    ],
  },

  /** y = alpha * a + b, or alpha * a alone.   Equal shapes. */
  scaledAdd: {
    code: 33,
    inputs: ["a", "b?"],
    outputs: ["y"],
    attrs: ["alpha"],
    inPlace: [
      ["y", "a"],
      ["y", "b"],
    ],
  },

  /** Each head's three parts apart: x [T, heads * 3 * headDim], head by head, into a, b, c [T, heads * headDim]. GLM's queries, keys and values. */
  splitHeads: { code: 34, inputs: ["x"], outputs: ["a", "b", "c"], attrs: ["heads"] },

  /** The way back, and so the gradient of splitHeads. */
  joinHeads: { code: 35, inputs: ["a", "b", "c"], outputs: ["x"], attrs: ["heads"] },

  /**
   * Rotary position embedding with a position for each section of a head.
   *
   *     x, y [T, heads * sections * 2 * cols] act   cos, sin [places, cols] f32   positions [T, sections] i32
   *     section s of every head turns its pairs (i, i + cols) by the angles of positions[t][s]; inverse as in `rope`
   *
   * Du et al. 2022 (GLM), section 2.2, has two: the place in the text and the place in the blank.
   */
  ropeSections: {
    code: 36,
    inputs: ["cos", "sin", "positions", "x"],
    outputs: ["y"],
    attrs: ["heads", "inverse"],
    inPlace: [["y", "x"]],
  },

  /**
   * `attention` whose scores get a number by distance: scale * q·k + bias[buckets[key - position + half]][head].
   *
   *     bias [buckets, heads] weight   buckets [W] i32, half = (W - 1) / 2 rounded down: the row of bias for each distance from -half on;
   *     further distances take the nearest one's   positions [batch * seqQ] i32: the place of each query among the keys of its row
   *
   * With a cache the queries stand at the end of the keys, so their places are given. Raffel et al. 2020 (T5), section 2.1.
   */
  attentionBiased: {
    code: 37,
    inputs: ["q", "k", "v", "ranges", "positions", "bias", "buckets"],
    outputs: ["o", "lse"],
    attrs: ["batch", "heads", "kvHeads", "scale"],
  },

  /** dq =, dk =, dv =, and dBias? +=, of attentionBiased.   dBias [buckets, heads] f32. */
  attentionBiasedBackward: {
    code: 38,
    inputs: ["do", "q", "k", "v", "o", "lse", "ranges", "positions", "bias", "buckets"],
    outputs: ["dq", "dk", "dv", "dBias?"],
    attrs: ["batch", "heads", "kvHeads", "scale"],
  },
} as const satisfies Record<string, OpSpec>;

export type OpName = keyof typeof ops;

/** A label that teaches nothing. */
export const IGNORED = -100;

/** What may change from one run of a Program to the next without compiling it again: slots of one small f64 buffer. */
export const uniforms = ["learningRate", "step", "gradScale", "clipNorm", "lossScale", "seed", "micro"] as const;

export type Uniforms = Readonly<Record<(typeof uniforms)[number], number>>;

/**
 * step counts updates from 1; micro counts batches within an update from 0; gradScale is 1 / (trained tokens of the update * lossScale);
 * clipNorm 0 does not clip; seed is a 32-bit unsigned integer.
 */
export const neutralUniforms: Uniforms = {
  learningRate: 0,
  step: 1,
  gradScale: 1,
  clipNorm: 0,
  lossScale: 1,
  seed: 0,
  micro: 0,
};
