// Cases of the contract, all but attention: every op at odd shapes, with and without its optional operands. Next: cases-attention.ts.

import { IGNORED } from "../../../src/engine/ops.js";
import type { OneOp } from "./build.js";
import { type Act, type Case, ints, type Make } from "./make.js";

/** [tokens, inputs, outputs] of a matrix: single ones, tails of tiles, and one size above a tile in each axis. */
const matrices = [
  [1, 1, 1],
  [1, 64, 65],
  [7, 65, 129],
  [129, 7, 65],
  [65, 257, 3],
  [33, 128, 64],
] as const;

const rows = [
  [1, 1],
  [7, 65],
  [129, 64],
  [3, 1000],
] as const;

export const cases: Case[] = [];

function add(op: Case["op"], title: string, make: Case["make"], only?: Case["only"]): void {
  cases.push({ op, title: `${op} ${title}`, make, ...(only && { only }) });
}

for (const [t, k, n] of matrices) {
  const size = `[${t}, ${k}] by [${n}, ${k}]`;
  const spread = 1 / Math.sqrt(k);
  const base = (make: Make) => ({
    x: make.act([t, k]),
    w: make.weight([n, k], spread),
    y: make.out([t, n]),
  });
  add("linear", size, (make) => ({ op: "linear", operands: base(make), attrs: { scale: 1 } }));
  add("linear", `${size} with bias`, (make) => ({
    op: "linear",
    operands: { ...base(make), bias: make.weight([n]) },
    attrs: { scale: 1 },
  }));
  for (const rank of [1, 5, 8]) {
    add("linear", `${size} with an f32 adapter of rank ${rank}`, (make) => ({
      op: "linear",
      operands: {
        ...base(make),
        h: make.act([t, rank]),
        b: { ...make.act([n, rank]), dtype: "f32", arena: "trained" },
      },
      attrs: { scale: 0.5 },
    }));
  }
  add("linear", `${size} with everything, y in f32`, (make) => ({
    op: "linear",
    operands: {
      ...base(make),
      bias: make.weight([n]),
      h: make.act([t, 3]),
      b: make.act([n, 3]),
      y: make.out([t, n], "f32"),
    },
    attrs: { scale: -2 },
  }));

  const back = (make: Make) => ({ dy: make.act([t, n]), w: make.weight([n, k], 1 / Math.sqrt(n)) });
  for (const accumulate of [0, 1]) {
    const how = accumulate ? "added" : "written";
    add("linearInput", `${size}, ${how}`, (make) => ({
      op: "linearInput",
      operands: { ...back(make), dx: make.act([t, k]) },
      attrs: { alpha: 1.5, accumulate },
    }));
    add("linearInput", `${size}, ${how}, with an adapter`, (make) => ({
      op: "linearInput",
      operands: { ...back(make), g: make.act([t, 5]), a: { ...make.act([5, k]), dtype: "f32" }, dx: make.act([t, k]) },
      attrs: { alpha: 1, accumulate },
    }));
  }
  add("linearWeight", size, (make) => ({
    op: "linearWeight",
    operands: { dy: make.act([t, n]), x: make.act([t, k]), dW: make.f32([n, k]) },
    attrs: { alpha: 0.5 },
  }));
  add("linearBias", `[${t}, ${n}]`, (make) => ({
    op: "linearBias",
    operands: { dy: make.act([t, n]), db: make.f32([n]) },
  }));
}

for (const dtype of ["f32", "bf16", "f16"] as const) {
  add(
    "linear",
    `with a weight in ${dtype}`,
    (make) => ({
      op: "linear",
      operands: { x: make.act([7, 33]), w: make.weight([9, 33], 0.2, dtype), y: make.out([7, 9], "f32") },
      attrs: { scale: 1 },
    }),
    "f32",
  );
  add(
    "linearInput",
    `with a weight in ${dtype}`,
    (make) => ({
      op: "linearInput",
      operands: { dy: make.act([7, 9]), w: make.weight([9, 33], 0.2, dtype), dx: make.out([7, 33]) },
      attrs: { alpha: 1, accumulate: 0 },
    }),
    "f32",
  );
  add(
    "embedding",
    `with a table in ${dtype}`,
    (make) => ({
      op: "embedding",
      operands: { weight: make.weight([11, 5], 1, dtype), ids: make.ids(7, 11), y: make.out([7, 5]) },
    }),
    "f32",
  );
  add("linear", `in f16 with a weight in ${dtype}`, (make) => wide(make, 12, dtype), "f16");
  add("linear", `of 3 rows in f16 with a weight in ${dtype}`, (make) => wide(make, 3, dtype), "f16");
}

/** Above and below the number of rows that are multiplied without packing. */
function wide(make: Make, t: number, dtype: Act): OneOp {
  return {
    op: "linear",
    operands: { x: make.act([t, 33]), w: make.weight([9, 33], 0.2, dtype), y: make.out([t, 9]) },
    attrs: { scale: 1 },
  };
}

for (const [t, h] of rows) {
  const size = `[${t}, ${h}]`;
  add("embedding", `${size} from 13 rows`, (make) => ({
    op: "embedding",
    operands: { weight: make.weight([13, h]), ids: make.ids(t, 13), y: make.out([t, h]) },
  }));
  add("embeddingWeight", `${size} into 13 rows, ids repeated`, (make) => ({
    op: "embeddingWeight",
    operands: { dy: make.act([t, h]), ids: make.ids(t, 13), dWeight: make.f32([13, h]) },
  }));
  add("rmsNorm", size, (make) => ({
    op: "rmsNorm",
    operands: { x: make.act([t, h]), weight: make.weight([h]), y: make.out([t, h]), rstd: make.out([t], "f32") },
    attrs: { eps: 1e-5 },
  }));
  const back = (make: Make) => ({
    dy: make.act([t, h]),
    x: make.act([t, h]),
    weight: make.weight([h]),
    rstd: make.positive([t]),
  });
  for (const accumulate of [0, 1]) {
    add("rmsNormInput", `${size}, ${accumulate ? "added" : "written"}`, (make) => ({
      op: "rmsNormInput",
      operands: { ...back(make), dx: make.act([t, h]) },
      attrs: { accumulate },
    }));
  }
  add("rmsNormInput", `${size}, in the place of dy`, (make) => ({
    op: "rmsNormInput",
    operands: { ...back(make), dx: { ...make.out([t, h]), sameAs: "dy" } },
    attrs: { accumulate: 0 },
  }));
  add("rmsNormWeight", size, (make) => ({
    op: "rmsNormWeight",
    operands: { dy: make.act([t, h]), x: make.act([t, h]), rstd: make.positive([t]), dWeight: make.f32([h]) },
  }));
  for (const sameAs of [undefined, "gate", "up"]) {
    add("swiglu", `${size}${sameAs ? ` in the place of ${sameAs}` : ""}`, (make) => ({
      op: "swiglu",
      operands: {
        gate: make.act([t, h], 3),
        up: make.act([t, h]),
        y: { ...make.out([t, h]), ...(sameAs && { sameAs }) },
      },
    }));
  }
  for (const [gate, up] of [
    [undefined, undefined],
    ["gate", "up"],
    ["dy", "up"],
    ["gate", "dy"],
  ]) {
    add("swigluBackward", `${size}${gate ? ` in the places of ${gate} and ${up}` : ""}`, (make) => ({
      op: "swigluBackward",
      operands: {
        dy: make.act([t, h]),
        gate: make.act([t, h], 3),
        up: make.act([t, h]),
        dGate: { ...make.out([t, h]), ...(gate && { sameAs: gate }) },
        dUp: { ...make.out([t, h]), ...(up && { sameAs: up }) },
      },
    }));
  }
  for (const sameAs of [undefined, "a", "b"]) {
    add("add", `${size}${sameAs ? ` in the place of ${sameAs}` : ""}`, (make) => ({
      op: "add",
      operands: { a: make.act([t, h]), b: make.act([t, h]), y: { ...make.out([t, h]), ...(sameAs && { sameAs }) } },
    }));
  }
  for (const dtype of ["f32", "bf16", "f16"] as const) {
    add("cast", `${size} to ${dtype}`, (make) => ({
      op: "cast",
      operands: { x: make.act([t, h]), y: make.out([t, h], dtype) },
    }));
  }
  add("gatherRows", `${size} from 13 rows`, (make) => ({
    op: "gatherRows",
    operands: { x: make.act([13, h]), rows: make.ids(t, 13), y: make.out([t, h]) },
  }));
  add("writeRows", `${size}, every third left out`, (make) => ({
    op: "writeRows",
    operands: {
      x: make.act([t, h]),
      rows: ints(
        [t],
        Array.from({ length: t }, (_, i) => (i % 3 === 2 ? -1 : t - i)),
      ),
      cache: { ...make.act([t + 2, h]), arena: "cache" },
    },
  }));
  add("zero", size, (make) => ({ op: "zero", operands: { x: make.act([t, h]) } }));
  add(
    "sumSquares",
    size,
    (make) => ({ op: "sumSquares", operands: { x: make.f32([t, h]), total: make.f32([1]) } }),
    "f32",
  );
  for (const [p, sameAs] of [
    [0.1, undefined],
    [0.5, "x"],
    [0, undefined],
  ] as const) {
    add("dropout", `${size}, p ${p}${sameAs ? " in place" : ""}`, (make) => ({
      op: "dropout",
      operands: { x: make.act([t, h]), y: { ...make.out([t, h]), ...(sameAs && { sameAs }) } },
      attrs: { p, stream: 5 },
      uniforms: { seed: 4_000_000_000, step: 17, micro: 3 },
    }));
  }
  add(
    "adamw",
    size,
    (make) => ({
      op: "adamw",
      operands: {
        grad: { ...make.f32([t, h]), arena: "gradients" },
        total: { dtype: "f32", shape: [1], data: [123] },
        param: { ...make.f32([t, h]), arena: "trained" },
        m: { ...make.f32([t, h], 0.1), arena: "optimizer" },
        v: { ...make.positive([t, h]), arena: "optimizer" },
      },
      attrs: { beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.01, rateFactor: 2 },
      uniforms: { learningRate: 0.01, step: 3, gradScale: 0.25, clipNorm: 1 },
    }),
    "f32",
  );
}

add(
  "sumSquares",
  "of 3 blocks and a tail",
  (make) => ({
    op: "sumSquares",
    operands: { x: make.f32([3 * 4096 + 77]), total: make.f32([1]) },
  }),
  "f32",
);

for (const [t, heads, headDim, cols] of [
  [1, 1, 2, 1],
  [7, 3, 10, 5],
  [65, 2, 12, 4],
  [5, 4, 64, 32],
] as const) {
  for (const interleaved of [0, 1]) {
    for (const inverse of [0, 1]) {
      const how = `${interleaved ? "interleaved" : "half"} pairs${inverse ? " turned back" : ""}`;
      const inPlace = inverse === 1;
      add("rope", `[${t}, ${heads} * ${headDim}], ${cols} ${how}${inPlace ? " in place" : ""}`, (make) => {
        const angles = Array.from({ length: 9 * cols }, (_, i) => (1 + Math.floor(i / cols)) / 3 ** (i % cols));
        return {
          op: "rope",
          operands: {
            x: make.act([t, heads * headDim]),
            cos: { dtype: "f32", shape: [9, cols], data: angles.map((angle) => Math.fround(Math.cos(angle))) },
            sin: { dtype: "f32", shape: [9, cols], data: angles.map((angle) => Math.fround(Math.sin(angle))) },
            positions: make.ids(t, 9),
            y: { ...make.out([t, heads * headDim]), ...(inPlace && { sameAs: "x" }) },
          },
          attrs: { heads, interleaved, inverse },
        };
      });
    }
  }
}

/** Labels with every third ignored, the first of all among them when there are several. */
const labels = (t: number, vocab: number) =>
  ints(
    [t],
    Array.from({ length: t }, (_, i) => (t > 1 && i % 3 === 0 ? IGNORED : (i * 11) % vocab)),
  );

for (const [t, h, vocab, chunk] of [
  [1, 1, 2, 1],
  [7, 65, 129, 3],
  [65, 33, 40, 64],
  [5, 8, 300, 16],
] as const) {
  const base = (make: Make) => ({
    x: make.act([t, h]),
    w: make.weight([vocab, h], 1 / Math.sqrt(h)),
    labels: labels(t, vocab),
    nll: make.out([t], "f32"),
    totals: make.f32([2]),
    logits: make.out([chunk, vocab], "f32"),
  });
  const size = `[${t}, ${h}], ${vocab} words, chunks of ${chunk}`;
  const attrs = { chunk };
  // Small, because the tolerances are for values of about 1 and a device may round the gradient of the logits.
  const uniforms = { lossScale: 2 };
  add("headLoss", `${size}, loss alone`, (make) => ({ op: "headLoss", operands: base(make), attrs, uniforms }));
  add("headLoss", `${size}, with dx`, (make) => ({
    op: "headLoss",
    operands: { ...base(make), dx: make.out([t, h]) },
    attrs,
    uniforms,
  }));
  add("headLoss", `${size}, with dx and dw`, (make) => ({
    op: "headLoss",
    operands: { ...base(make), dx: make.out([t, h]), dw: make.f32([vocab, h]) },
    attrs,
    uniforms,
  }));
  add("headLoss", `${size}, every label ignored`, (make) => ({
    op: "headLoss",
    operands: {
      ...base(make),
      labels: ints([t], new Array<number>(t).fill(IGNORED)),
      dx: make.out([t, h]),
      dw: make.f32([vocab, h]),
    },
    attrs,
    uniforms,
  }));
}
