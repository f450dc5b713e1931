// Cases of the contract at shapes drawn by a seed, near the edges of tiles and vectors, where a kernel's tails go wrong.

import { IGNORED } from "../../../src/engine/ops.js";
import { uniformAt } from "../../../src/engine/random.js";
import { attentionCasesOf, type Range, type Setting } from "./cases-attention.js";
import { type Case, ints } from "./make.js";

/** Sizes just below, at and above the powers of two that tiles are made of. */
const edges = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127, 128, 129, 255, 257];

/** Draws for one case. */
class Dice {
  #draws = 0;

  constructor(readonly seed: number) {}

  below(count: number): number {
    return Math.floor(uniformAt(77, this.seed, this.#draws++) * count);
  }

  edge(most: number): number {
    const allowed = edges.filter((size) => size <= most);
    return allowed[this.below(allowed.length)];
  }
}

function productCases(seed: number): Case[] {
  const dice = new Dice(seed);
  const [t, k, n, rank] = [dice.edge(129), dice.edge(257), dice.edge(257), dice.edge(33)];
  const [bias, adapter, accumulate] = [dice.below(2), dice.below(2), dice.below(2)];
  const size = `[${t}, ${k}] by [${n}, ${k}]${bias ? ", bias" : ""}${adapter ? `, rank ${rank}` : ""}`;
  return [
    {
      op: "linear",
      title: `linear ${size}, drawn by ${seed}`,
      make: (make) => ({
        op: "linear",
        operands: {
          x: make.act([t, k]),
          w: make.weight([n, k], 1 / Math.sqrt(k)),
          y: make.out([t, n]),
          ...(bias && { bias: make.weight([n]) }),
          ...(adapter && { h: make.act([t, rank]), b: make.act([n, rank], 1 / Math.sqrt(rank)) }),
        },
        attrs: { scale: 0.75 },
      }),
    },
    {
      op: "linearInput",
      title: `linearInput ${size}${accumulate ? ", added" : ""}, drawn by ${seed}`,
      make: (make) => ({
        op: "linearInput",
        operands: {
          dy: make.act([t, n]),
          w: make.weight([n, k], 1 / Math.sqrt(n)),
          dx: accumulate ? make.act([t, k]) : make.out([t, k]),
          ...(adapter && { g: make.act([t, rank]), a: make.act([rank, k], 1 / Math.sqrt(rank)) }),
        },
        attrs: { alpha: -1.25, accumulate },
      }),
    },
    {
      op: "linearWeight",
      title: `linearWeight ${size}, drawn by ${seed}`,
      make: (make) => ({
        op: "linearWeight",
        operands: { dy: make.act([t, n], 1 / Math.sqrt(t)), x: make.act([t, k]), dW: make.f32([n, k]) },
        attrs: { alpha: 0.5 },
      }),
    },
  ];
}

function attentionSetting(seed: number): Setting {
  const dice = new Dice(seed);
  const [batch, kvHeads, group] = [1 + dice.below(3), 1 + dice.below(3), 1 + dice.below(4)];
  const [seqQ, seqK, headDim] = [dice.edge(65), dice.edge(129), dice.edge(65)];
  const heads = kvHeads * group;
  const range: Range = (row, t) => {
    const ends = [1, 2].map((word) => Math.floor(uniformAt(78, seed, row, t, word) * (seqK + 1)));
    return [Math.min(...ends), Math.max(...ends)];
  };
  const size = `[${batch} * ${seqQ}, ${heads} * ${headDim}] on [${batch} * ${seqK}, ${kvHeads} * ${headDim}]`;
  return { title: `${size}, any ranges, drawn by ${seed}`, batch, seqQ, seqK, heads, kvHeads, headDim, range };
}

function lossCase(seed: number): Case {
  const dice = new Dice(seed);
  const [t, h, vocab, chunk] = [dice.edge(65), dice.edge(129), 1 + dice.edge(257), dice.edge(64)];
  const labels = Array.from({ length: t }, (_, i) => {
    const label = Math.floor(uniformAt(79, seed, i) * vocab * 1.5);
    return label < vocab ? label : IGNORED;
  });
  return {
    op: "headLoss",
    title: `headLoss [${t}, ${h}], ${vocab} words, chunks of ${chunk}, drawn by ${seed}`,
    make: (make) => ({
      op: "headLoss",
      operands: {
        x: make.act([t, h]),
        w: make.weight([vocab, h], 1 / Math.sqrt(h)),
        labels: ints([t], labels),
        nll: make.out([t], "f32"),
        totals: make.f32([2]),
        dx: make.out([t, h]),
        dw: make.f32([vocab, h]),
        logits: make.out([chunk, vocab], "f32"),
      },
      attrs: { chunk },
      uniforms: { lossScale: 2 },
    }),
  };
}

const seeds = Array.from({ length: 16 }, (_, i) => i);

export const randomCases: readonly Case[] = seeds.flatMap((seed) => [
  ...productCases(seed),
  ...attentionCasesOf(attentionSetting(seed)),
  lossCase(seed),
]);
