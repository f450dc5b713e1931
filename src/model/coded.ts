// Matrices that a checkpoint holds in few bits already, as ChatGLM-6B's own do: their codes and scales, loaded as they are. Called by
// resident.ts; matrices quantised here on their way: quantize.ts.

import type { Arena } from "../engine/device.js";
import { type QuantizedDType, quantizedLayout } from "../engine/quantized.js";
import type { TensorSpec } from "./resident.js";
import { addFaults, faultsIn } from "./weights/faults.js";
import { CheckpointError, type TensorFile, type WeightFault } from "./weights/index.js";

/** The codes' name and this: the scales. */
const SCALE = "_scale";

/**
 * Tensors that a checkpoint has for one of the model: itself, none for what is computed, or of a coded matrix [N, K]
 *
 *     codes [N, K] i8, or [N, K / 2] i8 with two to a byte      scales [N], in f16 as published
 */
export function storedParts({ name, shape, dtype, values, coded }: TensorSpec) {
  if (values) return [];
  if (!coded) return [{ name, shape }];
  const [rows, columns] = shape as [number, number];
  return [
    { name, shape: [rows, dtype === "i4" ? columns / 2 : columns] },
    { name: `${name}${SCALE}`, shape: [rows] },
  ];
}

/**
 * One coded matrix to its place in an arena; what of its scales is not finite. Nothing is rounded: the matrix stands for scale * code,
 * since a scale per row is what i8 has, and what i4 has where every group's factor is 255 of 255.
 *
 * Published codes of 4 bits are signed, of two to a byte the even column in the upper half; ours are the same with 8 added.
 */
export async function loadCoded(
  file: TensorFile,
  { name, dtype, shape }: { readonly name: string; readonly dtype: QuantizedDType; readonly shape: readonly number[] },
  arena: Arena,
  offset: number,
): Promise<WeightFault | undefined> {
  if (dtype === "nf4") throw new CheckpointError(file.path, "no checkpoint holds it in nf4", { tensor: name });
  const { rows, groups, scales, factors } = quantizedLayout(dtype, shape);
  for await (const { offset: at, data } of file.pieces(name, "i8")) {
    await arena.write(offset + at, dtype === "i4" ? withEightAdded(data) : data);
  }
  let fault: WeightFault | undefined;
  const scale = `${name}${SCALE}`;
  for await (const { offset: at, data } of file.pieces(scale, "f32")) {
    fault = addFaults(fault, faultsIn(data, { name: scale, dtype: "f32", shape: [rows] }, at));
    await arena.write(offset + scales + at, data);
  }
  if (groups > 0) await arena.write(offset + factors, new Uint8Array(rows * groups).fill(255));
  return fault;
}

/** Both codes of each byte, from -8 to 7 as two's complement, as 0 to 15. */
function withEightAdded(codes: Uint8Array): Uint8Array {
  const result = new Uint8Array(codes.length);
  for (let i = 0; i < codes.length; i++) result[i] = (codes[i] as number) ^ 0x88;
  return result;
}
