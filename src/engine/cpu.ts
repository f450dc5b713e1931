// The cpu device: Programs run by the native library on threads of its own. Next to read: native.ts, native/engine.h.

import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { type DeviceHandle, loadAddon } from "./addon.js";
import { physicalCores } from "./cores.js";
<<<<<<< HEAD
import { cpuSpeedAt } from "./cpu-speed.js";
import { type Arena, type Device, type DeviceInfo, EngineError, type Executable, type ShapedOp } from "./device.js";
=======
import { type Device, EngineError } from "./device.js";
>>>>>>> 8da38dd (engine: what native devices share stands in one file, and how native code is compiled in another; a CUDA engine behind the same C interface, with a simulated GPU)
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
  const computeDTypes: readonly DType[] = used === "amx" || used === "avx512-bf16" ? ["bf16", "f32"] : ["f32", "bf16"];
  return new NativeDevice(addon, handle, {
    name: "cpu",
    info: {
      description: `${model}, ${used}, ${threads} of ${availableParallelism()} threads`,
      threads,
      memoryBytes: process.constrainedMemory?.() || totalmem(),
      computeDTypes,
    },
    workspaceBytes: (op) => cpuWorkspaceBytes(op, threads),
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
<<<<<<< HEAD

class CpuDevice implements Device {
  readonly name = "cpu";
  readonly info: DeviceInfo;
  readonly handle: DeviceHandle;
  readonly #arenas = new Set<CpuArena>();
  readonly #pending = new Set<Promise<unknown>>();
  #disposed = false;

  constructor(
    readonly addon: Addon,
    readonly threads: number,
    isa: string | undefined,
  ) {
    try {
      this.handle = addon.create(threads, isa || undefined);
    } catch (cause) {
      throw new EngineError(`cpu: ${(cause as Error).message}`, { cause });
    }
    const used = addon.isaOf(this.handle);
    const model = cpus()[0]?.model.trim() ?? "processor";
    const computeDTypes: readonly DType[] =
      used === "amx" || used === "avx512-bf16" ? ["bf16", "f32", "f16"] : ["f32", "bf16", "f16"];
    this.info = {
      description: `${model}, ${used}, ${threads} of ${availableParallelism()} threads`,
      threads,
      memoryBytes: process.constrainedMemory?.() || totalmem(),
      computeDTypes,
    };
  }

  workspaceBytes(op: ShapedOp): number {
    return cpuWorkspaceBytes(op, this.threads);
  }

  speedAt(tokens: number): number {
    return cpuSpeedAt(tokens);
  }

  allocate(category: Category, bytes: number): CpuArena {
    this.checkAlive();
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new EngineError(`allocate: ${bytes} bytes for ${category}, expected a whole number`);
    }
    // The system promises memory that it does not have and ends the process that believes it: so ask first.
    const free = availableBytes();
    if (bytes > free) {
      throw new EngineError(`allocate: no room for ${bytes} bytes of ${category}; ${free} are free`);
    }
    try {
      const arena = new CpuArena(this, category, bytes, this.addon.allocate(this.handle, bytes));
      this.#arenas.add(arena);
      return arena;
    } catch (cause) {
      throw new EngineError(`allocate: no room for ${bytes} bytes of ${category}; ${free} are free`, { cause });
    }
  }

  allocated(): Readonly<Record<Category, number>> {
    const bytes = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
    for (const arena of this.#arenas) bytes[arena.category] += arena.bytes;
    return bytes;
  }

  async compile(program: Program, arenas: Readonly<Partial<Record<Category, Arena>>>): Promise<Executable> {
    this.checkAlive();
    const where = `program ${JSON.stringify(program.name)}`;
    validateProgram(program, arenas, this.info.computeDTypes);
    const own = categories.map((category) => {
      const arena = arenas[category];
      if (arena === undefined) return undefined;
      if (!(arena instanceof CpuArena) || arena.device !== this) {
        throw new EngineError(`${where}: the arena ${category} was not allocated by this device`);
      }
      arena.checkHeld(where);
      return arena;
    });
    try {
      const handles = own.map((arena) => arena?.handle);
      return new CpuExecutable(this, program, own, this.addon.compile(this.handle, serialize(program), handles));
    } catch (cause) {
      throw wordError(program, cause);
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await Promise.allSettled(this.#pending);
    for (const arena of this.#arenas) arena.free();
    this.addon.dispose(this.handle);
  }

  forget(arena: CpuArena): void {
    this.#arenas.delete(arena);
  }

  /** Remember a job until it is done, so that dispose can wait for it. */
  track<T>(job: Promise<T>): Promise<T> {
    this.#pending.add(job);
    const done = () => this.#pending.delete(job);
    job.then(done, done);
    return job;
  }

  checkAlive(): void {
    if (this.#disposed) throw new EngineError("the device cpu was disposed");
  }
}

class CpuArena implements Arena {
  #freed = false;

  constructor(
    readonly device: CpuDevice,
    readonly category: Category,
    readonly bytes: number,
    readonly handle: ArenaHandle,
  ) {}

  async write(offset: number, data: Uint8Array): Promise<void> {
    this.#check("write", offset, data.byteLength);
    await this.device.track(this.device.addon.write(this.handle, offset, data));
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    this.#check("read", offset, bytes);
    return this.device.track(this.device.addon.read(this.handle, offset, bytes));
  }

  /** The memory goes when everything that was asked for before is done. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.device.addon.free(this.handle);
    this.device.forget(this);
  }

  checkHeld(where: string): void {
    if (this.#freed) throw new EngineError(`${where}: the arena ${this.category} was freed`);
  }

  #check(verb: string, offset: number, bytes: number): void {
    this.device.checkAlive();
    this.checkHeld(verb);
    const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(bytes) && offset >= 0 && bytes >= 0;
    if (inside && offset + bytes <= this.bytes) return;
    throw new EngineError(
      `${verb}: ${bytes} bytes at ${offset} leave the arena ${this.category}, which has ${this.bytes}`,
    );
  }
}

class CpuExecutable implements Executable {
  readonly #where: string;
  #disposed = false;

  constructor(
    readonly device: CpuDevice,
    readonly program: Program,
    readonly arenas: readonly (CpuArena | undefined)[],
    readonly handle: ProgramHandle,
  ) {
    this.#where = `program ${JSON.stringify(program.name)}`;
  }

  async run(values: Uniforms, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.device.checkAlive();
    if (this.#disposed) throw new EngineError(`${this.#where}: run after dispose`);
    checkUniforms(this.program.name, values);
    for (const category of categories) {
      if (this.program.arenaBytes[category] > 0) this.arenas[categories.indexOf(category)]?.checkHeld(this.#where);
    }
    signal?.throwIfAborted();
    const flag = new Int32Array(1);
    const abort = () => Atomics.store(flag, 0, 1);
    signal?.addEventListener("abort", abort);
    try {
      const slots = Float64Array.from(uniforms, (name) => values[name]);
      await this.device.track(this.device.addon.run(this.handle, slots, flag));
      // An abort that came while the last op ended still counts: the caller was promised it.
      signal?.throwIfAborted();
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw wordError(this.program, cause);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  dispose(): void {
    this.#disposed = true;
  }
}

/** A native error in words that say which program and which op: `program "step": op 3 embedding: ids[1] is 99, expected 0 to 63`. */
function wordError(program: Program, cause: unknown): unknown {
  const { code, op, message } = cause as NativeError;
  if (!Object.values<number>(nativeCode).includes(code)) return cause;
  const at = program.ops[op];
  return new EngineError(`program ${JSON.stringify(program.name)}: ${at ? `op ${op} ${at.op}: ` : ""}${message}`, {
    cause,
  });
}
=======
>>>>>>> 8da38dd (engine: what native devices share stands in one file, and how native code is compiled in another; a CUDA engine behind the same C interface, with a simulated GPU)
