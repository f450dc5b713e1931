// Operands of the contract's cases: seeded numbers that the dtype can hold, ids, and ranges of keys.

import { type DType, type FloatDType, type Shape, sizeOf } from "../../../src/engine/dtype.js";
import { roundTo } from "../../../src/engine/number.js";
import type { OpName } from "../../../src/engine/ops.js";
import { type OneOp, type Operand, seeded } from "./build.js";

export type Act = FloatDType;

/** Makes the operands of one case; every call draws new numbers. */
export class Make {
  #seed = 1;

  constructor(readonly dtype: Act) {}

  /** Activations. */
  act(shape: Shape, spread = 1): Operand {
    return this.of(this.dtype, shape, spread);
  }

  f32(shape: Shape, spread = 1): Operand {
    return this.of("f32", shape, spread);
  }

  of(dtype: Act, shape: Shape, spread = 1): Operand {
    const data = seeded(shape, this.#seed++, spread).map((value) => roundTo(value, dtype));
    return { dtype, shape, data };
  }

  /** A frozen weight, in the arena of those. */
  weight(shape: Shape, spread = 1, dtype: Act = this.dtype): Operand {
    return { ...this.of(dtype, shape, spread), arena: "weights" };
  }

  /** Positive numbers around 1. */
  positive(shape: Shape): Operand {
    return { dtype: "f32", shape, data: seeded(shape, this.#seed++).map((value) => Math.fround(Math.exp(value / 4))) };
  }

  /** Whole numbers from 0 up to `count`, in a scattered order with repetitions. */
  ids(length: number, count: number): Operand {
    return ints(
      [length],
      Array.from({ length }, (_, i) => (i * 7 + (i >> 1)) % count),
    );
  }

  /** An overwritten output. */
  out(shape: Shape, dtype: DType = this.dtype): Operand {
    return { dtype, shape };
  }
}

export function ints(shape: Shape, data: readonly number[]): Operand {
  if (data.length !== sizeOf(shape)) throw new Error(`${data.length} integers for [${shape}]`);
  return { dtype: "i32", shape, data };
}

/** Ranges of keys from a function of row in the batch and position. */
export function ranges(
  batch: number,
  seq: number,
  range: (row: number, t: number) => readonly [number, number],
): Operand {
  const all = Array.from({ length: batch * seq }, (_, i) => range(Math.floor(i / seq), i % seq));
  return ints([batch * seq, 2], all.flat());
}

export interface Case {
  readonly op: OpName;
  readonly title: string;
  readonly make: (make: Make) => OneOp | Promise<OneOp>;
  /** Dtypes of activations that the case is about. @default all */
  readonly only?: Act;
}
