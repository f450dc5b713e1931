// Rules of the op table that a tolerance would not see: whose bits dropout uses, what is rounded on its way in, what stays untouched.

import { describe, expect, test } from "vitest";
import { IGNORED } from "../../../src/engine/ops.js";
import { keepsElement } from "../../../src/engine/random.js";
import { expectClose } from "../../close.js";
import { type OneOp, runOne, seeded } from "./build.js";
import { onEveryDevice } from "./devices.js";
import { ints } from "./make.js";

const ones = (...shape: number[]) => ({ shape, data: new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(1) });

onEveryDevice((device) => {
  test.each([
    { p: 0.1, stream: 0, seed: 0, step: 1, micro: 0 },
    { p: 0.5, stream: 77, seed: 4_294_967_295, step: 100_000, micro: 31 },
    { p: 0.999, stream: 4_294_967_295, seed: 42, step: 4_294_967_295, micro: 7 },
  ])("dropout keeps exactly the elements that keepsElement keeps, %o", async ({ p, stream, seed, step, micro }) => {
    const uniforms = { seed, step, micro };
    const { y } = await runOne(device, {
      op: "dropout",
      operands: { x: ones(129, 65), y: { shape: [129, 65] } },
      attrs: { p, stream },
      uniforms,
    });
    const expected = Array.from(y, (_, i) => (keepsElement(p, seed, step, micro, stream, i) ? 1 / (1 - p) : 0));
    expectClose(y, expected, { relative: 1e-6 });
    for (let i = 0; i < y.length; i++) if ((y[i] === 0) !== (expected[i] === 0)) throw new Error(`element ${i}`);
  });

  test("operands that are left alone by = and += stay alone: rows of a cache that are not named, rows of a table without an id", async () => {
    const cache = { shape: [5, 33], data: seeded([5, 33], 3).map(Math.fround) };
    const written = await runOne(device, {
      op: "writeRows",
      operands: { x: ones(2, 33), rows: ints([2], [-1, 3]), cache: { ...cache, arena: "cache" } },
    });
    const expected = cache.data.map((value, i) => (Math.floor(i / 33) === 3 ? 1 : value));
    expect(written["cache"]).toEqual(expected);
    const table = await runOne(device, {
      op: "embeddingWeight",
      operands: { dy: ones(3, 33), ids: ints([3], [3, 3, 3]), dWeight: cache },
    });
    expectClose(
      table["dWeight"],
      cache.data.map((value, i) => (Math.floor(i / 33) === 3 ? value + 3 : value)),
      {
        absolute: 1e-6,
      },
    );
  });

  test("totals count labels exactly and add to what is there; a row with IGNORED gets zero loss and zero slope", async () => {
    const [t, h, vocab] = [130, 17, 19];
    const labels = Array.from({ length: t }, (_, i) => (i % 2 ? IGNORED : i % vocab));
    const { nll, totals, dx } = await runOne(device, {
      op: "headLoss",
      operands: {
        x: { shape: [t, h], data: seeded([t, h], 5) },
        w: { shape: [vocab, h], data: seeded([vocab, h], 6) },
        labels: ints([t], labels),
        nll: { shape: [t] },
        totals: { shape: [2], data: [1000, 70] },
        dx: { shape: [t, h] },
        logits: { shape: [32, vocab] },
      },
      attrs: { chunk: 32 },
    });
    expect(totals[1]).toBe(70 + 65);
    expectClose(totals[0], 1000 + nll.reduce((a, b) => a + b), { relative: 1e-6 });
    for (let i = 1; i < t; i += 2) {
      expect(nll[i]).toBe(0);
      expect(dx.subarray(i * h, (i + 1) * h).every((value) => value === 0)).toBe(true);
    }
  });

  test("logits of a thousand do not overflow the loss", async () => {
    const { nll } = await runOne(device, {
      op: "headLoss",
      operands: {
        x: { shape: [2, 1], data: [1000, -1000] },
        w: { shape: [3, 1], data: [1, 0, -1] },
        labels: ints([2], [1, 2]),
        nll: { shape: [2] },
        totals: { shape: [2], data: [0, 0] },
        logits: { shape: [2, 3] },
      },
      attrs: { chunk: 2 },
    });
    expectClose(nll, [1000, 0], { relative: 1e-6, absolute: 1e-6 });
  });

  test("scores of a thousand do not overflow attention", async () => {
    const { o, lse } = await runOne(device, {
      op: "attention",
      operands: {
        q: { shape: [2, 1], data: [1000, -1000] },
        k: { shape: [2, 1], data: [1, -1] },
        v: { shape: [2, 1], data: [5, 7] },
        ranges: ints([2, 2], [0, 2, 0, 2]),
        o: { shape: [2, 1] },
        lse: { shape: [2, 1] },
      },
      attrs: { batch: 1, heads: 1, kvHeads: 1, scale: 1 },
    });
    expectClose(o, [5, 7], { relative: 1e-6 });
    expectClose(lse, [1000, 1000], { relative: 1e-6 });
  });

  test("a NaN in an activation is not lost on the way through a norm, a product, attention or the loss", async () => {
    const x = { shape: [1, 4], data: [1, Number.NaN, 2, 3] };
    const results = [
      await runOne(device, {
        op: "rmsNorm",
        operands: { x, weight: ones(4), y: { shape: [1, 4] }, rstd: { shape: [1] } },
        attrs: { eps: 1e-5 },
      }),
      await runOne(device, { op: "linear", operands: { x, w: ones(2, 4), y: { shape: [1, 2] } }, attrs: { scale: 1 } }),
      await runOne(device, {
        op: "attention",
        operands: {
          q: x,
          k: ones(1, 4),
          v: ones(1, 4),
          ranges: ints([1, 2], [0, 1]),
          o: { shape: [1, 4] },
          lse: { shape: [1, 1] },
        },
        attrs: { batch: 1, heads: 1, kvHeads: 1, scale: 1 },
      }),
      await runOne(device, {
        op: "headLoss",
        operands: {
          x,
          w: ones(3, 4),
          labels: ints([1], [1]),
          nll: { shape: [1] },
          totals: { shape: [2], data: [0, 0] },
          logits: { shape: [1, 3] },
        },
        attrs: { chunk: 1 },
      }),
    ];
    for (const [i, name] of ["y", "y", "o", "nll"].entries()) {
      expect(results[i][name].some(Number.isNaN), `${i} ${name}`).toBe(true);
    }
  });

  describe.runIf(device.info.computeDTypes.includes("bf16"))(
    "with activations in bf16 (skipped on a device that does not compute in it)",
    () => {
      const bf16 = (shape: readonly number[], value: number) => ({
        dtype: "bf16" as const,
        shape,
        data: new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(value),
      });
      const heavy = { ...ones(4, 64), data: new Float64Array(256).fill(1 + 2 ** -9 - 2 ** -12) };

      test("an f32 weight is rounded to bf16 before the product, forward and backward", async () => {
        const forward: OneOp = {
          op: "linear",
          operands: { x: bf16([3, 64], 1), w: heavy, y: { shape: [3, 4] } },
          attrs: { scale: 1 },
        };
        expectClose((await runOne(device, forward))["y"], new Float64Array(12).fill(64), {});
        const backward: OneOp = {
          op: "linearInput",
          operands: { dy: bf16([3, 4], 1), w: heavy, dx: { dtype: "bf16", shape: [3, 64] } },
          attrs: { alpha: 1, accumulate: 0 },
        };
        expectClose((await runOne(device, backward))["dx"], new Float64Array(192).fill(4), {});
      });

      test("a sum of 513 ones is exact: sums are f32, not bf16", async () => {
        const one: OneOp = {
          op: "linear",
          operands: { x: bf16([1, 513], 1), w: bf16([1, 513], 1), y: { shape: [1, 1] } },
          attrs: { scale: 1 },
        };
        expectClose((await runOne(device, one))["y"], [513], {});
      });

      test("results are rounded to nearest, ties to even", async () => {
        const one: OneOp = {
          op: "cast",
          operands: {
            x: { shape: [3], data: [1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20] },
            y: { dtype: "bf16", shape: [3] },
          },
        };
        expectClose((await runOne(device, one))["y"], [1, 1 + 2 ** -6, 1 + 2 ** -7], {});
      });
    },
  );

  test.runIf(device.info.computeDTypes.includes("bf16"))(
    "bf16 keeps numbers down to 2^-126 and rounds them to nearest; smaller ones stay or become 0 (skipped on a device that does not compute in it)",
    async () => {
      const given = [
        2 ** -126,
        -(2 ** -126),
        1.5 * 2 ** -126,
        1 + 2 ** -8,
        1 + 3 * 2 ** -8,
        Infinity,
        2 ** -127,
        -(2 ** -130),
      ];
      const many = Array.from({ length: 9 }, () => given).flat();
      const x = { shape: [many.length], data: many };
      const { y } = await runOne(device, { op: "cast", operands: { x, y: { dtype: "bf16", shape: x.shape } } });
      const expected = [2 ** -126, -(2 ** -126), 1.5 * 2 ** -126, 1, 1 + 2 ** -6, Infinity];
      for (const [i, value] of Array.from(y).entries()) {
        const kept = expected[i % given.length] ?? many[i];
        if (kept === undefined || (value !== kept && !(i % given.length >= expected.length && value === 0))) {
          throw new Error(`[${i}] expected ${kept}, got ${value}`);
        }
      }
    },
  );

  describe.runIf(device.info.computeDTypes.includes("f16"))(
    "with activations in f16 (skipped on a device that does not compute in it)",
    () => {
      const f16 = (shape: readonly number[], ...data: number[]) => ({
        dtype: "f16" as const,
        shape,
        data: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => data[i % data.length] as number),
      });
      const toF16 = (...data: number[]) =>
        runOne(device, {
          op: "cast",
          operands: { x: { shape: [data.length], data }, y: { dtype: "f16", shape: [data.length] } },
        });

      test("results are rounded to nearest, ties to even, on the fast path of whole vectors and on their tails", async () => {
        const given = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -11 + 2 ** -20, -2049, 2051];
        const expected = [1, 1 + 2 ** -9, 1 + 2 ** -10, -2048, 2052];
        const many = Array.from({ length: 8 }, () => given).flat();
        const { y } = await toF16(...many);
        expectClose(
          y,
          many.map((_, i) => expected[i % given.length] as number),
          {},
        );
      });

      test("what does not fit becomes infinite from halfway to the next step on, as in hardware", async () => {
        const { y } = await toF16(65504, 65519, 65520, 1e6, -65520, 3e38);
        expectClose(y, [65504, 65504, Infinity, Infinity, -Infinity, Infinity], {});
      });

      test("denormals are kept, down to 2^-24", async () => {
        const { y } = await toF16(2 ** -14, 2 ** -15, 3 * 2 ** -24, 2 ** -24, 2 ** -25, -1.5 * 2 ** -24, 2 ** -26);
        expectClose(y, [2 ** -14, 2 ** -15, 3 * 2 ** -24, 2 ** -24, 0, -(2 ** -23), 0], {});
        const doubled = await runOne(device, {
          op: "add",
          operands: { a: f16([17], 2 ** -24), b: f16([17], 2 ** -24), y: f16([17], 0) },
        });
        expectClose(doubled["y"], new Float64Array(17).fill(2 ** -23), {});
      });

      test("a product overflows only where its result is stored: on the way, sums are f32", async () => {
        const operands = { x: f16([9, 4], 300, 300, -300, -300), w: f16([2, 4], 300, 300, 300, 300.25) };
        for (const dtype of ["f16", "f32"] as const) {
          const one: OneOp = {
            op: "linear",
            operands: { ...operands, y: { dtype, shape: [9, 2] } },
            attrs: { scale: 1 },
          };
          expectClose((await runOne(device, one))["y"], new Float64Array(18).fill(-75), {});
        }
        const large: OneOp = {
          op: "linear",
          operands: { x: f16([9, 4], 300), w: f16([2, 4], 300), y: f16([9, 2], 0) },
          attrs: { scale: 1 },
        };
        expectClose((await runOne(device, large))["y"], new Float64Array(18).fill(Infinity), {});
      });

      test("a sum of 2049 ones is exact in f32: sums are not f16", async () => {
        const one: OneOp = {
          op: "linear",
          operands: { x: f16([1, 2049], 1), w: f16([1, 2049], 1), y: { shape: [1, 1] } },
          attrs: { scale: 1 },
        };
        expectClose((await runOne(device, one))["y"], [2049], {});
      });

      test("squares of a norm and scores of attention beyond 65504 do not overflow", async () => {
        const norm = await runOne(device, {
          op: "rmsNorm",
          operands: { x: f16([1, 64], 1000), weight: ones(64), y: f16([1, 64], 0), rstd: { shape: [1] } },
          attrs: { eps: 0 },
        });
        expectClose(norm["y"], new Float64Array(64).fill(1), {});
        const { o } = await runOne(device, {
          op: "attention",
          operands: {
            q: f16([2, 1], 1000, -1000),
            k: f16([2, 1], 1000, -1000),
            v: f16([2, 1], 5, 7),
            ranges: ints([2, 2], [0, 2, 0, 2]),
            o: f16([2, 1], 0),
            lse: { shape: [2, 1] },
          },
          attrs: { batch: 1, heads: 1, kvHeads: 1, scale: 1 },
        });
        expectClose(o, [5, 7], {});
      });
    },
  );
});
