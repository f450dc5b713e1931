// The cpu device: Programs run by the native library on threads of its own. Next to read: native.ts, native/engine.h.

import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { type DeviceHandle, loadAddon } from "./addon.js";
import { physicalCores } from "./cores.js";
import { cpuSpeedAt } from "./cpu-speed.js";
import { type Device, EngineError } from "./device.js";
import type { DType } from "./dtype.js";
import { NativeDevice } from "./native.js";
import { cpuWorkspaceBytes } from "./workspace.js";

export interface CpuOptions {
  /** @default the physical cores this process may use */
  readonly threads?: number;
  /** Instruction set: "amx", "avx512-bf16", "avx512", "avx2" or "portable". @default the environment's TUNEBOOK_ISA, else the best there is */
  readonly isa?: string;
}

/**
 * A device on this machine's processors. Its threads wait while nothing runs and do not keep the process alive.
 *
 * @throws EngineError when the native library cannot be loaded, or has no such instruction set here.
 */
export function cpuDevice(options: CpuOptions = {}): Device {
  const threads = options.threads ?? physicalCores();
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new EngineError(`cpu: expected \`threads\` to be a whole number from 1 to 1024, got ${threads}`);
  }
  const addon = loadAddon();
  let handle: DeviceHandle;
  try {
    handle = addon.create(threads, (options.isa ?? process.env["TUNEBOOK_ISA"]) || undefined);
  } catch (cause) {
    throw new EngineError(`cpu: ${(cause as Error).message}`, { cause });
  }
  const used = addon.isaOf(handle);
  const model = cpus()[0]?.model.trim() ?? "processor";
  const computeDTypes: readonly DType[] =
    used === "amx" || used === "avx512-bf16" ? ["bf16", "f32", "f16"] : ["f32", "bf16", "f16"];
  return new NativeDevice(addon, handle, {
    name: "cpu",
    info: {
      description: `${model}, ${used}, ${threads} of ${availableParallelism()} threads`,
      threads,
      memoryBytes: process.constrainedMemory?.() || totalmem(),
      computeDTypes,
    },
    workspaceBytes: (op) => cpuWorkspaceBytes(op, threads),
    speedAt: cpuSpeedAt,
    // The system promises memory that it does not have and ends the process that believes it: so ask first.
    hasRoom: (bytes) => bytes <= availableBytes(),
    freeMemory: () => `${availableBytes()} are free`,
  });
}

/** Instruction sets this machine can run, best first. @throws EngineError when the native library cannot be loaded. */
export function cpuInstructionSets(): readonly string[] {
  return loadAddon().isas().split(" ");
}

/** Bytes this process may still use; Node before 20.13 cannot tell, then what the machine has free. */
function availableBytes(): number {
  return process.availableMemory?.() ?? freemem();
}
