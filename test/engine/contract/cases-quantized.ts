// Cases of the contract for matrices in few bits: both products with them, and the cast to and from f32. Next: quantized.test.ts, which
// looks at the codes themselves.

import { type QuantizedDType, quantizedLayout } from "../../../src/engine/quantized.js";
import type { Operand } from "./build.js";
import type { Case, Make } from "./make.js";

export const formats: readonly QuantizedDType[] = ["i8", "i4", "nf4"];

/** [tokens, inputs, outputs]: few rows and many, groups cut short, more than a block of each. */
const matrices = [
  [1, 2, 1],
  [1, 192, 33],
  [3, 66, 5],
  [8, 320, 7],
  [7, 130, 129],
  [33, 128, 64],
  [129, 70, 65],
  [40, 1090, 34],
  [9, 34, 600],
] as const;

/** A matrix [N, K], which is quantised before anything reads it. */
export function matrixOf(make: Make, dtype: QuantizedDType, shape: readonly [number, number], spread = 1): Operand {
  return { ...make.f32(shape, spread), dtype, arena: "weights" };
}

export const quantizedCases: readonly Case[] = formats.flatMap((dtype): Case[] => [
  ...matrices.flatMap(([t, k, n]): Case[] => {
    const size = `[${t}, ${k}] by [${n}, ${k}] in ${dtype}`;
    return [
      {
        op: "linear",
        title: `linear ${size}`,
        make: (make) => ({
          op: "linear",
          operands: {
            x: make.act([t, k]),
            w: matrixOf(make, dtype, [n, k], 1 / Math.sqrt(k)),
            y: make.out([t, n]),
          },
          attrs: { scale: 1 },
        }),
      },
      {
        op: "linear",
        title: `linear ${size} with bias and an f32 adapter, y in f32`,
        make: (make) => ({
          op: "linear",
          operands: {
            x: make.act([t, k]),
            w: matrixOf(make, dtype, [n, k], 1 / Math.sqrt(k)),
            bias: make.weight([n]),
            h: make.act([t, 3]),
            b: { ...make.act([n, 3]), dtype: "f32", arena: "trained" },
            y: make.out([t, n], "f32"),
          },
          attrs: { scale: 0.5 },
        }),
      },
      ...[0, 1].map(
        (accumulate): Case => ({
          op: "linearInput",
          title: `linearInput ${size}, ${accumulate ? "added, with an adapter" : "written"}`,
          make: (make) => ({
            op: "linearInput",
            operands: {
              dy: make.act([t, n]),
              w: matrixOf(make, dtype, [n, k], 1 / Math.sqrt(n)),
              ...(accumulate && { g: make.act([t, 5]), a: { ...make.act([5, k]), dtype: "f32" as const } }),
              dx: make.act([t, k]),
            },
            attrs: { alpha: 1.5, accumulate },
          }),
        }),
      ),
    ];
  }),
  ...(
    [
      [1, 2],
      [3, 64],
      [5, 66],
      [130, 200],
      [2, 3000],
    ] as const
  ).flatMap(([n, k]): Case[] => [
    {
      op: "cast",
      title: `cast [${n}, ${k}] to ${dtype}`,
      make: (make) => ({
        op: "cast",
        operands: { x: make.act([n, k]), y: { dtype, shape: [n, k], arena: "weights" } },
      }),
    },
    {
      op: "cast",
      title: `cast [${n}, ${k}] from ${dtype}`,
      make: (make) => ({ op: "cast", operands: { x: matrixOf(make, dtype, [n, k]), y: make.out([n, k]) } }),
    },
  ]),
]);

/** Bytes of a buffer that count: what lies between codes and scales does not. */
export function countedBytes(bytes: Uint8Array, dtype: QuantizedDType, shape: readonly number[]): Uint8Array {
  const { rows, rowBytes, scales } = quantizedLayout(dtype, shape);
  return Uint8Array.of(...bytes.subarray(0, rows * rowBytes), ...bytes.subarray(scales));
}
