// A device of the native library: arenas, compiled Programs and runs through handles. Opened by cpu.ts and cuda.ts. Next to read: addon.ts.

import {
  type Addon,
  type ArenaHandle,
  type DeviceHandle,
  type NativeError,
  nativeCode,
  type ProgramHandle,
} from "./addon.js";
import { type Arena, type Device, type DeviceInfo, EngineError, type Executable, type ShapedOp } from "./device.js";
import { type Uniforms, uniforms } from "./ops.js";
import { type Category, categories, type Program, serialize } from "./program.js";
import { isQuantized } from "./quantized.js";
import { checkUniforms, validateProgram } from "./validate.js";

/** What one native device has of its own. */
export interface NativeFacts {
  readonly name: string;
  readonly info: DeviceInfo;
  readonly workspaceBytes: (op: ShapedOp) => number;
  /** See Device. */
  readonly speedAt?: (tokens: number) => number;
  /** Asked before memory is taken, where the system would promise what it does not have. */
  readonly hasRoom?: (bytes: number) => boolean;
  /** For the error when there is no room: "123 are free". */
  readonly freeMemory: () => string;
}

/** Runs Programs through one of the native libraries; what differs between them is in its facts. */
export class NativeDevice implements Device {
  readonly name: string;
  readonly info: DeviceInfo;
  readonly #arenas = new Set<NativeArena>();
  readonly #pending = new Set<Promise<unknown>>();
  #disposed = false;

  constructor(
    readonly addon: Addon,
    readonly handle: DeviceHandle,
    readonly facts: NativeFacts,
  ) {
    this.name = facts.name;
    this.info = facts.info;
  }

  workspaceBytes(op: ShapedOp): number {
    return this.facts.workspaceBytes(op);
  }

  speedAt(tokens: number): number {
    return this.facts.speedAt?.(tokens) ?? 1;
  }

  allocate(category: Category, bytes: number): NativeArena {
    this.checkAlive();
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new EngineError(`allocate: ${bytes} bytes for ${category}, expected a whole number`);
    }
    const noRoom = () => `allocate: no room for ${bytes} bytes of ${category}; ${this.facts.freeMemory()}`;
    if (this.facts.hasRoom && !this.facts.hasRoom(bytes)) throw new EngineError(noRoom());
    try {
      const arena = new NativeArena(this, category, bytes, this.addon.allocate(this.handle, bytes));
      this.#arenas.add(arena);
      return arena;
    } catch (cause) {
      throw new EngineError(noRoom(), { cause });
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
    const coded = program.buffers.find(({ dtype }) => isQuantized(dtype));
    if (coded && this.info.noQuantized !== undefined) {
      throw new EngineError(`${where}: ${this.name} does not read ${coded.dtype}: ${this.info.noQuantized}`);
    }
    const own = categories.map((category) => {
      const arena = arenas[category];
      if (arena === undefined) return undefined;
      if (!(arena instanceof NativeArena) || arena.device !== this) {
        throw new EngineError(`${where}: the arena ${category} was not allocated by this device`);
      }
      arena.checkHeld(where);
      return arena;
    });
    try {
      const handles = own.map((arena) => arena?.handle);
      return new NativeExecutable(this, program, own, this.addon.compile(this.handle, serialize(program), handles));
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

  forget(arena: NativeArena): void {
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
    if (this.#disposed) throw new EngineError(`the device ${this.name} was disposed`);
  }
}

class NativeArena implements Arena {
  #freed = false;

  constructor(
    readonly device: NativeDevice,
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

class NativeExecutable implements Executable {
  readonly #where: string;
  #disposed = false;

  constructor(
    readonly device: NativeDevice,
    readonly program: Program,
    readonly arenas: readonly (NativeArena | undefined)[],
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
    if (this.#disposed) return;
    this.#disposed = true;
    this.device.addon.release(this.handle);
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
