// A symbolic tensor: a name, a dtype and a shape, and no numbers yet. Made by ops.ts inside a Trace (trace.ts).

import type { DType, Shape } from "../engine/dtype.js";
import type { Trace } from "./trace.js";

/**
 * Where a tensor lives.
 *
 *     input      io, written by the host before a run         output     io, read by the host after one
 *     frozen     weights                                       trained    trained, f32; its gradient lives in gradients
 *     gradient   gradients, f32, added to by every run         state      cache, kept from run to run
 *     value      activations, from its op to its last reader   scratch    workspace, during its op only
 */
export type Place = "input" | "output" | "frozen" | "trained" | "gradient" | "state" | "value" | "scratch";

export interface Tensor {
  readonly trace: Trace;
  readonly id: number;
  /** Unique within its trace. */
  readonly name: string;
  readonly place: Place;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Whether a trained tensor is behind it, so that a gradient must flow through it. */
  readonly learns: boolean;
}

/** A tensor that does not fit the op it was given to. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

/**
 * Check a shape and name its sizes. A number in `axes` must be met; a word takes the size it finds, and the same word the same size.
 *
 * @example const { tokens, hidden } = bindShape(x, ["tokens", "hidden"]);
 * @throws ShapeError such as `linear: x "h3" has shape [3, 2], expected [tokens, 4]`.
 */
export function bindShape<const Axis extends string | number>(
  what: string,
  tensor: Pick<Tensor, "name" | "shape">,
  axes: readonly Axis[],
): Record<Extract<Axis, string>, number> {
  const sizes: Record<string, number> = {};
  const fits =
    tensor.shape.length === axes.length &&
    axes.every((axis, i) => {
      const size = tensor.shape[i] as number;
      if (typeof axis === "number") return axis === size;
      const word: string = axis;
      sizes[word] ??= size;
      return sizes[word] === size;
    });
  if (!fits) {
    throw new ShapeError(
      `${what} "${tensor.name}" has shape [${tensor.shape.join(", ")}], expected [${axes.join(", ")}]`,
    );
  }
  return sizes as Record<Extract<Axis, string>, number>;
}
