// The slow f64 device that judges the others: plain TypeScript, no cleverness. Next to read: kernels.ts.

import type { Device, DeviceInfo } from "../device.js";
import { type Arithmetic, type BoundOp, type HostArena, HostDevice, type Place } from "../host.js";
import { type Kernels, nameOperands } from "../operands.js";
import type { OpName, Uniforms } from "../ops.js";
import { kernels } from "./kernels.js";
import { Memory } from "./memory.js";
import type { Context, Values } from "./values.js";

export interface ReferenceOptions {
  /**
   * Keep every stored number in f64 beside its bytes and round nothing, so that finite differences are clean.
   * Reading an arena rounds; writing one from the host replaces the f64 numbers. Costs four times the arenas' memory. @default false
   */
  readonly exact?: boolean;
}

/** Every op of the table with f64 sums. Without `exact`, each number stored is rounded to its buffer's dtype. */
export function referenceDevice({ exact = false }: ReferenceOptions = {}): Device {
  return new HostDevice(new ReferenceArithmetic(exact));
}

class ReferenceArithmetic implements Arithmetic {
  readonly name = "reference";
  readonly info: DeviceInfo;
  readonly #memory: Memory;

  constructor(readonly exact: boolean) {
    this.#memory = new Memory(exact);
    this.info = {
      description: exact ? "plain TypeScript in f64, nothing rounded" : "plain TypeScript, sums in f64",
      threads: 1,
      memoryBytes: undefined,
      computeDTypes: ["f32", "bf16", "f16"],
    };
  }

  run(op: BoundOp, uniforms: Uniforms): void {
    const load = (place: Place | undefined): Values | undefined =>
      place && { dtype: place.buffer.dtype, shape: place.buffer.shape, data: this.#memory.load(place) };
    const inputs = op.inputs.map(load);
    const outputs = op.outputs.map(load);
    // The union over ops of matching pairs of kernel and call; TypeScript cannot follow the pairing through a table.
    const kernel = kernels[op.op] as Kernels<Values, Context>["zero"];
    kernel(nameOperands<OpName, Values>(op.op, inputs, outputs, op.attrs) as { x: Values }, {
      uniforms,
      exact: this.exact,
    });
    for (const [i, place] of op.outputs.entries()) {
      const values = outputs[i];
      if (place && values) this.#memory.store(place, values.data);
    }
  }

  wrote(arena: HostArena, offset: number, bytes: number): void {
    this.#memory.forget(arena, offset, bytes);
  }

  freed(arena: HostArena): void {
    this.#memory.drop(arena);
  }
}
