// The native library as TypeScript sees it: handles are opaque, promises settle when the engine thread is done. Used by cpu.ts only.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { EngineError } from "./device.js";

declare const brand: unique symbol;
interface Handle<Name extends string> {
  readonly [brand]: Name;
}
export type DeviceHandle = Handle<"device">;
export type ArenaHandle = Handle<"arena">;
export type ProgramHandle = Handle<"program">;

/** Codes of native/engine.h. */
export const nativeCode = { refused: 1, failed: 2, aborted: 3, noMemory: 4 } as const;

/** What the native library throws and rejects with. */
export interface NativeError extends Error {
  readonly code: number;
  /** Index of the op at fault, or -1. */
  readonly op: number;
  /** Position of the operand at fault, inputs first, then outputs; or -1. */
  readonly operand: number;
}

export interface Addon {
  /** Instruction sets of this machine, best first, separated by blanks. */
  isas(): string;
  create(threads: number, isa: string | undefined): DeviceHandle;
  isaOf(device: DeviceHandle): string;
  /** Ends the threads; blocks until they have noticed. */
  dispose(device: DeviceHandle): void;
  allocate(device: DeviceHandle, bytes: number): ArenaHandle;
  free(arena: ArenaHandle): void;
  write(arena: ArenaHandle, offset: number, data: Uint8Array): Promise<void>;
  read(arena: ArenaHandle, offset: number, bytes: number): Promise<Uint8Array>;
  /** Arenas in the order of `categories`. */
  compile(device: DeviceHandle, program: Uint8Array, arenas: readonly (ArenaHandle | undefined)[]): ProgramHandle;
  /** What a program holds goes once no run of it is under way; it must not be run or released again. */
  release(program: ProgramHandle): void;
  /** `abort` is polled while the run lasts: anything but 0 stops it. */
  run(program: ProgramHandle, uniforms: Float64Array, abort: Int32Array): Promise<void>;
  /** FLOP/s of a loop of multiply-adds in registers. Blocks: for benches. */
  peak(device: DeviceHandle, pairs: boolean): number;
  /** The kernels' own exp. Blocks: for tests. */
  exp(device: DeviceHandle, x: Float32Array): Float32Array;
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const place = join(root, "build", "tunebook.node");

let loaded: Addon | undefined;

/** @throws EngineError with the command that builds the library, when it is missing or cannot be loaded. */
export function loadAddon(file = place): Addon {
  if (file === place && loaded) return loaded;
  try {
    const addon = createRequire(import.meta.url)(file) as Addon;
    if (file === place) loaded = addon;
    return addon;
  } catch (cause) {
    throw new EngineError(
      `cpu: the native engine ${file} cannot be loaded: ${(cause as Error).message.split("\n")[0]}\n` +
        `build it with: node ${join(root, "src", "engine", "native", "build.mjs")}`,
      { cause },
    );
  }
}
