// One-op Programs from shapes and numbers, and the running of them on any device.

import type { Arena, Device } from "../../../src/engine/device.js";
import { type DType, type Shape, sizeOf } from "../../../src/engine/dtype.js";
import { decode, encode } from "../../../src/engine/number.js";
import { plainName } from "../../../src/engine/operands.js";
import { neutralUniforms, type OpName, type OpSpec, ops, type Uniforms } from "../../../src/engine/ops.js";
import {
  align,
  type Buffer,
  bufferBytes,
  type Category,
  categories,
  type Program,
} from "../../../src/engine/program.js";
import { dequantize, isQuantized, quantize } from "../../../src/engine/quantized.js";
import { normalAt } from "../../../src/engine/random.js";

/** An operand: its numbers before the run. Outputs that are overwritten may leave `data` out: they start as NaN, or -7 for i32. */
export interface Operand {
  readonly dtype?: DType;
  readonly shape: Shape;
  readonly data?: ArrayLike<number>;
  /** Name of the input whose memory this output shares. */
  readonly sameAs?: string;
  /** @default "activations" */
  readonly arena?: Category;
}

/** One op with its operands by name; optional ones may be absent. */
export interface OneOp {
  readonly op: OpName;
  readonly operands: Readonly<Record<string, Operand>>;
  readonly attrs?: Readonly<Record<string, number>>;
  readonly uniforms?: Partial<Uniforms>;
}

/** Numbers of a standard normal distribution. */
export function seeded(shape: Shape, seed: number, spread = 1): Float64Array {
  return Float64Array.from({ length: sizeOf(shape) }, (_, i) => normalAt(seed, i) * spread);
}

/** The Program of one op; the device says how much workspace it needs. */
export function programOf(device: Device, { op, operands, attrs = {} }: OneOp): Program {
  const spec: OpSpec = ops[op];
  const ends = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
  const buffers: Buffer[] = [];
  const places = new Map<string, number>();
  const place = (written: string): number => {
    const name = plainName(written);
    const operand = operands[name];
    if (!operand) return -1;
    const { dtype = "f32", shape, arena = "activations" } = operand;
    const shared = operand.sameAs === undefined ? undefined : (buffers[places.get(operand.sameAs) as number] as Buffer);
    const buffer = { name, arena: shared?.arena ?? arena, offset: shared?.offset ?? ends[arena], dtype, shape };
    if (!shared) ends[arena] += align(bufferBytes(buffer));
    places.set(name, buffers.push(buffer) - 1);
    return buffers.length - 1;
  };
  const inputs = spec.inputs.map(place);
  const outputs = spec.outputs.map(place);
  const shaped = (index: number) => buffers[index] as Buffer | undefined;
  const values = spec.attrs.map((name) => attrs[name] ?? Number.NaN);
  const bytes = device.workspaceBytes({ op, inputs: inputs.map(shaped), outputs: outputs.map(shaped), attrs: values });
  const workspace = { offset: 0, bytes };
  ends.workspace = Math.max(ends.workspace, align(bytes));
  return { name: op, arenaBytes: ends, buffers, ops: [{ op, inputs, outputs, attrs: values, workspace }] };
}

/** A Program on a device with arenas of its own, to be written, run and read by buffer name. */
export class Bench {
  readonly arenas: Partial<Record<Category, Arena>> = {};

  constructor(
    readonly device: Device,
    readonly program: Program,
  ) {
    for (const category of categories) {
      const bytes = program.arenaBytes[category];
      if (bytes > 0) this.arenas[category] = device.allocate(category, bytes);
    }
  }

  find(name: string): Buffer {
    const buffer = this.program.buffers.find((candidate) => candidate.name === name);
    if (!buffer) throw new Error(`the program has no buffer ${name}`);
    return buffer;
  }

  async write(name: string, data: ArrayLike<number>): Promise<void> {
    const buffer = this.find(name);
    if (data.length !== sizeOf(buffer.shape)) throw new Error(`${name}: ${data.length} numbers for [${buffer.shape}]`);
    const { dtype, shape } = buffer;
    const bytes = isQuantized(dtype) ? quantize(data, dtype, shape) : encode(data, dtype);
    await this.arenas[buffer.arena]?.write(buffer.offset, bytes);
  }

  async read(name: string): Promise<Float64Array> {
    const buffer = this.find(name);
    const { dtype, shape } = buffer;
    const bytes = await this.bytes(name);
    return isQuantized(dtype) ? Float64Array.from(dequantize(bytes, dtype, shape)) : decode(bytes, dtype);
  }

  bytes(name: string): Promise<Uint8Array> {
    const buffer = this.find(name);
    return (this.arenas[buffer.arena] as Arena).read(buffer.offset, bufferBytes(buffer));
  }

  async run(uniforms: Partial<Uniforms> = {}, signal?: AbortSignal): Promise<void> {
    const executable = await this.device.compile(this.program, this.arenas);
    try {
      await executable.run({ ...neutralUniforms, ...uniforms }, signal ? { signal } : {});
    } finally {
      executable.dispose();
    }
  }

  free(): void {
    for (const arena of Object.values(this.arenas)) arena.free();
  }
}

/** Run one op and return its outputs by name. */
export async function runOne(device: Device, one: OneOp): Promise<Record<string, Float64Array>> {
  const bench = new Bench(device, programOf(device, one));
  try {
    for (const [name, operand] of Object.entries(one.operands)) {
      if (operand.sameAs !== undefined) continue;
      const blank = operand.dtype === "i32" ? -7 : Number.NaN;
      await bench.write(name, operand.data ?? new Float64Array(sizeOf(operand.shape)).fill(blank));
    }
    await bench.run(one.uniforms);
    const spec: OpSpec = ops[one.op];
    const results: Record<string, Float64Array> = {};
    for (const name of spec.outputs.map(plainName)) if (one.operands[name]) results[name] = await bench.read(name);
    return results;
  } finally {
    bench.free();
  }
}
