// A Device whose arenas are bytes of this process and whose ops run one by one on the JS thread.
// What computes is handed in: reference/ (slow, exact) or tfjs/. Next to read: validate.ts.

import { freemem } from "node:os";
import { type Arena, type Device, type DeviceInfo, EngineError, type Executable } from "./device.js";
import type { Uniforms } from "./ops.js";
import { type Buffer, bufferBytes, type Category, categories, type Op, type Program } from "./program.js";
import { checkUniforms, validateProgram } from "./validate.js";

/** A buffer of a Program on the arena it was compiled for. */
export interface Place {
  readonly arena: HostArena;
  readonly buffer: Buffer;
}

/** An op whose operands have been found. Absent operands are undefined. */
export interface BoundOp {
  readonly op: Op["op"];
  readonly inputs: readonly (Place | undefined)[];
  readonly outputs: readonly (Place | undefined)[];
  readonly attrs: readonly number[];
}

/** The arithmetic of a host device. */
export interface Arithmetic {
  readonly name: string;
  readonly info: DeviceInfo;
  /** Read the inputs, compute, write the outputs. @throws EngineError without saying which op: the device adds that. */
  run(op: BoundOp, uniforms: Uniforms): void;
  /** The host changed these bytes of an arena. */
  wrote(arena: HostArena, offset: number, bytes: number): void;
  /** The arena is gone. */
  freed(arena: HostArena): void;
}

export class HostArena implements Arena {
  /** The arena's memory; empty once it was freed. */
  data: Uint8Array;
  #freed = false;

  constructor(
    readonly device: HostDevice,
    readonly category: Category,
    readonly bytes: number,
  ) {
    this.data = new Uint8Array(bytes);
  }

  get freed(): boolean {
    return this.#freed;
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    return this.device.enqueue(() => {
      this.#check("write", offset, data.byteLength);
      this.data.set(data, offset);
      this.device.arithmetic.wrote(this, offset, data.byteLength);
    });
  }

  read(offset: number, bytes: number): Promise<Uint8Array> {
    return this.device.enqueue(() => {
      this.#check("read", offset, bytes);
      return this.data.slice(offset, offset + bytes);
    });
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.data = new Uint8Array(0);
    this.device.arithmetic.freed(this);
  }

  /** The bytes of a buffer that lies in this arena. */
  bytesAt(buffer: Buffer): Uint8Array {
    return this.data.subarray(buffer.offset, buffer.offset + bufferBytes(buffer));
  }

  #check(verb: string, offset: number, bytes: number): void {
    if (this.#freed) throw new EngineError(`${verb}: the arena ${this.category} was freed`);
    const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(bytes) && offset >= 0 && bytes >= 0;
    if (inside && offset + bytes <= this.bytes) return;
    throw new EngineError(
      `${verb}: ${bytes} bytes at ${offset} leave the arena ${this.category}, which has ${this.bytes}`,
    );
  }
}

export class HostDevice implements Device {
  readonly name: string;
  readonly info: DeviceInfo;
  readonly #arenas = new Set<HostArena>();
  #last: Promise<unknown> = Promise.resolve();
  #disposed = false;

  constructor(readonly arithmetic: Arithmetic) {
    this.name = arithmetic.name;
    this.info = arithmetic.info;
  }

  /** Ops of a host device keep what they need on the JS heap. */
  workspaceBytes(): number {
    return 0;
  }

  allocate(category: Category, bytes: number): HostArena {
    this.#checkAlive();
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new EngineError(`allocate: ${bytes} bytes for ${category}, expected a whole number`);
    }
    for (const arena of this.#arenas) if (arena.freed) this.#arenas.delete(arena);
    try {
      const arena = new HostArena(this, category, bytes);
      this.#arenas.add(arena);
      return arena;
    } catch (cause) {
      throw new EngineError(`allocate: no room for ${bytes} bytes of ${category}; the machine has ${freemem()} free`, {
        cause,
      });
    }
  }

  allocated(): Readonly<Record<Category, number>> {
    const bytes = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
    for (const arena of this.#arenas) if (!arena.freed) bytes[arena.category] += arena.bytes;
    return bytes;
  }

  async compile(program: Program, arenas: Readonly<Partial<Record<Category, Arena>>>): Promise<Executable> {
    this.#checkAlive();
    validateProgram(program, arenas, this.info.computeDTypes);
    for (const category of categories) {
      const arena = arenas[category];
      if (!arena || (arena instanceof HostArena && arena.device === this)) continue;
      throw new EngineError(
        `program ${JSON.stringify(program.name)}: the arena ${category} was not allocated by this device`,
      );
    }
    return new HostExecutable(this, program, arenas as Partial<Record<Category, HostArena>>);
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#last;
    for (const arena of this.#arenas) arena.free();
    this.#arenas.clear();
  }

  /** Do a job after all that were asked for before it. @throws EngineError when the device was disposed. */
  async enqueue<T>(job: () => T | Promise<T>): Promise<T> {
    this.#checkAlive();
    const result = this.#last.then(job);
    // The next job waits for this one, whether or not it failed; its caller hears of the failure through `result`.
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  #checkAlive(): void {
    if (this.#disposed) throw new EngineError(`the device ${this.name} was disposed`);
  }
}

class HostExecutable implements Executable {
  readonly #ops: readonly BoundOp[];
  #disposed = false;

  constructor(
    readonly device: HostDevice,
    readonly program: Program,
    arenas: Readonly<Partial<Record<Category, HostArena>>>,
  ) {
    const place = (index: number): Place | undefined => {
      const buffer = program.buffers[index];
      // The validator has seen that every used arena is there.
      return buffer && { arena: arenas[buffer.arena] as HostArena, buffer };
    };
    this.#ops = program.ops.map((op) => ({ ...op, inputs: op.inputs.map(place), outputs: op.outputs.map(place) }));
  }

  run(uniforms: Uniforms, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.device.enqueue(async () => {
      const where = `program ${JSON.stringify(this.program.name)}`;
      if (this.#disposed) throw new EngineError(`${where}: run after dispose`);
      checkUniforms(this.program.name, uniforms);
      for (const [index, op] of this.#ops.entries()) {
        signal?.throwIfAborted();
        try {
          this.#runOp(op, uniforms);
        } catch (cause) {
          if (!(cause instanceof EngineError)) throw cause;
          throw new EngineError(`${where}: op ${index} ${op.op}: ${cause.message}`, { cause });
        }
        await nextTurn();
      }
      signal?.throwIfAborted();
    });
  }

  #runOp(op: BoundOp, uniforms: Uniforms): void {
    for (const place of [...op.inputs, ...op.outputs]) {
      if (place?.arena.freed) throw new EngineError(`the arena ${place.buffer.arena} was freed`);
    }
    this.device.arithmetic.run(op, uniforms);
  }

  dispose(): void {
    this.#disposed = true;
  }
}

/** Lets timers, sockets and other cells have a turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
