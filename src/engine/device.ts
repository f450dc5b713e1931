// The contract of everything that runs Programs: cpu, cuda, tfjs, reference. Judged by test/engine/contract.

import type { DType, Shape } from "./dtype.js";
import type { OpName, Uniforms } from "./ops.js";
import type { Category, Program } from "./program.js";

/** What a device says of itself, for `tunebook devices` and for error messages. */
export interface DeviceInfo {
  /** For people: "Intel Xeon, avx512-bf16, 2 threads". */
  readonly description: string;
  readonly threads: number;
  /** Bytes of memory the device could give in all; undefined when it cannot tell. */
  readonly memoryBytes: number | undefined;
  /** Dtypes activations can have, best first. */
  readonly computeDTypes: readonly DType[];
  /** Why activations cannot have 16 bits, on a device where they cannot. */
  readonly no16Bits?: string;
  /** Why it cannot read matrices in few bits (quantized.ts); absent where it can. */
  readonly noQuantized?: string;
}

/** An op with the shapes of its operands, before it has a place in memory. Absent operands are undefined. */
export interface ShapedOp {
  readonly op: OpName;
  readonly inputs: readonly ({ readonly dtype: DType; readonly shape: Shape } | undefined)[];
  readonly outputs: readonly ({ readonly dtype: DType; readonly shape: Shape } | undefined)[];
  readonly attrs: readonly number[];
}

export interface Device {
  /** "cpu", "tfjs", "reference", "cuda:0" */
  readonly name: string;
  readonly info: DeviceInfo;
  /** Set on a device that counts memory and holds none (sketch.ts): nothing need be computed for it. */
  readonly plansOnly?: boolean;
  /** Bytes of scratch the device needs for this op, exactly. Pure: the planner calls it without allocating, on any machine. */
  workspaceBytes(op: ShapedOp): number;
  /**
   * Speed of matrix products over so many tokens at once, as a part of the speed over very many: 0 to 1. Pure, and measured once for the
   * kind of device; tells the planner what few rows at once cost. @default 1 for any number
   */
  speedAt?(tokens: number): number;
  /** Exactly `bytes`, zeroed. @throws EngineError when the memory is not there, with what was asked and what is free. */
  allocate(category: Category, bytes: number): Arena;
  /** How it is now, in one line, on a device that can tell: memory in use, utilisation, power, temperature. */
  describeNow?(): string;
  /** Bytes now allocated, by category. The meter reads this. */
  allocated(): Readonly<Record<Category, number>>;
  /**
   * Check every offset, dtype, shape and operand of the Program, then make it ready to run on these arenas.
   * @throws EngineError naming the op and operand at fault.
   */
  compile(program: Program, arenas: Readonly<Partial<Record<Category, Arena>>>): Promise<Executable>;
  /** Ends its threads and frees what is left. Later calls throw. */
  dispose(): Promise<void>;
}

/** One block of device memory. Writes, reads and runs take effect in the order they were called. */
export interface Arena {
  readonly category: Category;
  readonly bytes: number;
  /** Copy bytes in. The source may be changed as soon as the promise settles. */
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Copy bytes out. */
  read(offset: number, bytes: number): Promise<Uint8Array>;
  free(): void;
}

export interface Executable {
  readonly program: Program;
  /**
   * Run all ops once, off the JS thread where the device has threads.
   * @throws EngineError with the op at fault; the signal's reason when it was aborted (arenas then hold a partial result).
   */
  run(uniforms: Uniforms, options?: { readonly signal?: AbortSignal }): Promise<void>;
  dispose(): void;
}

/** Something the engine refused or could not do. */
export class EngineError extends Error {
  override readonly name = "EngineError";
}
