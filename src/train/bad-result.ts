// Runs a Program one op at a time and finds the first result that holds a NaN or an infinity. Slow; asked by diagnose.ts when a run fails.

import { setImmediate } from "node:timers/promises";
import { type Arena, type Category, type Device, neutralUniforms, type Program } from "../engine/index.js";
import { decode } from "../engine/number.js";
import { type Buffer, bufferBytes } from "../engine/program.js";
import { isQuantized } from "../engine/quantized.js";
import { firstNonFinite } from "./finite.js";

export interface BadResult {
  /** `linear with "model.layers.1.mlp.up_proj.weight"`, or `swiglu after "..."` for an op that reads no tensor of the model. */
  readonly op: string;
  readonly value: number;
  /** Its place in the result, row-major. */
  readonly at: number;
  readonly shape: readonly number[];
}

/** @param arenas - Hold what the Program reads. What it writes is lost. */
export async function firstBadResult(
  device: Device,
  program: Program,
  arenas: Readonly<Partial<Record<Category, Arena>>>,
): Promise<BadResult | undefined> {
  const bufferAt = (index: number) => program.buffers[index];
  let tensor: string | undefined;
  for (const [i, op] of program.ops.entries()) {
    const executable = await device.compile({ ...program, name: `${program.name}, op ${i}`, ops: [op] }, arenas);
    try {
      await executable.run(neutralUniforms);
    } finally {
      executable.dispose();
    }
    const own = op.inputs.map(bufferAt).find((buffer) => buffer?.arena === "weights" || buffer?.arena === "trained");
    tensor = own?.name ?? tensor;
    for (const buffer of op.outputs.map(bufferAt)) {
      // What lies in the workspace is gone after its op.
      if (!buffer || buffer.dtype === "i32" || buffer.arena === "workspace") continue;
      const found = await findIn(arenas[buffer.arena] as Arena, buffer);
      if (!found) continue;
      const where = tensor === undefined ? "" : ` ${own ? "with" : "after"} "${tensor}"`;
      return { op: `${op.op}${where}`, shape: buffer.shape, ...found };
    }
    await setImmediate();
  }
  return undefined;
}

async function findIn(arena: Arena, buffer: Buffer): Promise<{ value: number; at: number } | undefined> {
  const { dtype } = buffer;
  if (isQuantized(dtype)) return undefined; // no op of a model writes codes
  const values = decode(await arena.read(buffer.offset, bufferBytes(buffer)), dtype);
  const at = firstNonFinite(values);
  return at === undefined ? undefined : { value: values[at] as number, at };
}
