// The portable device: the same Programs on TensorFlow.js, f32 only. Somebody else's arithmetic, so also a witness against ours.
// Next to read: kernels.ts.

import { totalmem } from "node:os";
import type { Device, DeviceInfo } from "../device.js";
import { type Arithmetic, type BoundOp, type HostArena, HostDevice } from "../host.js";
import { type Kernels, nameOperands, plainName } from "../operands.js";
import { type OpName, type OpSpec, ops, type Uniforms } from "../ops.js";
import { bufferBytes } from "../program.js";
import { kernels } from "./kernels.js";
import { type Loaded, loadTf, type Tf } from "./load.js";
import { type Context, type Operand, type Results, Tensors } from "./operand.js";

/**
 * Runs on @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node where the user has installed one, else on plain @tensorflow/tfjs;
 * `info.description` says which. Weights in other dtypes, also quantised ones, become f32 tensors when first used and stay so until their bytes change.
 *
 * @throws EngineError when no TensorFlow.js can be loaded.
 */
export async function tfjsDevice(): Promise<Device> {
  return new HostDevice(new TfjsArithmetic(await loadTf()));
}

class TfjsArithmetic implements Arithmetic {
  readonly name = "tfjs";
  readonly info: DeviceInfo;
  readonly #tf: Tf;
  readonly #tensors: Tensors;

  constructor({ tf, description }: Loaded) {
    this.#tf = tf;
    this.#tensors = new Tensors(tf);
    const no16Bits = "TensorFlow.js has no type of 16 bits";
    this.info = { description, threads: 1, memoryBytes: totalmem(), computeDTypes: ["f32"], no16Bits };
  }

  run(op: BoundOp, uniforms: Uniforms): void {
    const inputs = op.inputs.map((place) => place && this.#tensors.operand(place));
    const outputs = op.outputs.map((place) => place && this.#tensors.operand(place));
    // The union over ops of matching pairs of kernel and call; TypeScript cannot follow the pairing through a table.
    const kernel = kernels[op.op] as Kernels<Operand, Context, Results>["zero"];
    const call = nameOperands<OpName, Operand>(op.op, inputs, outputs, op.attrs) as { x: Operand };
    const names = (ops[op.op] as OpSpec).outputs.map(plainName);
    this.#tf.tidy(() => {
      const results = kernel(call, { tf: this.#tf, uniforms });
      for (const [i, place] of op.outputs.entries()) {
        const result = results[names[i]];
        if (place && result) this.#tensors.store(place, result);
      }
    });
    for (const place of op.outputs) if (place) this.wrote(place.arena, place.buffer.offset, bufferBytes(place.buffer));
  }

  wrote(arena: HostArena, offset: number, bytes: number): void {
    this.#tensors.forget(arena, offset, bytes);
  }

  freed(arena: HostArena): void {
    this.#tensors.drop(arena);
  }
}
