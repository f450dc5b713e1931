// The engine's program for another processor as a Device: Programs and arenas go through its pipe, run by run. Its other end is
// src/engine/native/pipe.cpp.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import type { Arena, Device, DeviceInfo, Executable, ShapedOp } from "../../src/engine/device.js";
import { EngineError } from "../../src/engine/device.js";
import { type Uniforms, uniforms } from "../../src/engine/ops.js";
import { type Category, categories, type Program, serialize } from "../../src/engine/program.js";
import { cpuWorkspaceBytes } from "../../src/engine/workspace.js";

/** Bytes held here between runs. */
class PipeArena implements Arena {
  readonly data: Uint8Array;
  constructor(
    readonly category: Category,
    readonly bytes: number,
  ) {
    this.data = new Uint8Array(bytes);
  }
  async write(offset: number, data: Uint8Array): Promise<void> {
    this.data.set(data, offset);
  }
  async read(offset: number, bytes: number): Promise<Uint8Array> {
    return this.data.slice(offset, offset + bytes);
  }
  free(): void {}
}

export class PipeDevice implements Device {
  readonly name = "cpu";
  readonly info: DeviceInfo;
  #started: ChildProcess | undefined;
  #chunks: AsyncIterator<unknown> | undefined;
  /** What has come and was not yet taken. */
  #come: Buffer = Buffer.alloc(0);
  #last: Promise<unknown> = Promise.resolve();

  /** @param command - The program and what imitates its processor: ["qemu-aarch64", "tunebook-pipe"]. Started at the first run. */
  constructor(
    readonly command: readonly [string, ...string[]],
    readonly threads: number,
  ) {
    this.info = {
      description: command.join(" "),
      threads,
      memoryBytes: undefined,
      computeDTypes: ["f32", "bf16", "f16"],
    };
  }

  workspaceBytes(op: ShapedOp): number {
    return cpuWorkspaceBytes(op, this.threads);
  }

  allocate(category: Category, bytes: number): PipeArena {
    return new PipeArena(category, bytes);
  }

  allocated(): Readonly<Record<Category, number>> {
    throw new EngineError("the pipe does not count");
  }

  async compile(program: Program, arenas: Readonly<Partial<Record<Category, Arena>>>): Promise<Executable> {
    const own = categories.map((category) => (arenas[category] as PipeArena | undefined)?.data ?? new Uint8Array(0));
    return {
      program,
      run: (values) => {
        const run = this.#last.then(() => this.#request(program, own, values));
        this.#last = run.catch(() => undefined);
        return run;
      },
      dispose: () => undefined,
    };
  }

  async dispose(): Promise<void> {
    await this.#last;
    const child = this.#started;
    child?.stdin?.end();
    if (child?.exitCode === null) await once(child, "exit");
  }

  get #child(): ChildProcess {
    const [program, ...args] = this.command;
    this.#started ??= spawn(program, [...args, String(this.threads)], { stdio: ["pipe", "pipe", "inherit"] });
    return this.#started;
  }

  async #request(program: Program, arenas: readonly Uint8Array[], values: Uniforms): Promise<void> {
    const bytes = serialize(program);
    const head = new DataView(new ArrayBuffer(8 + 8 * (arenas.length + uniforms.length)));
    head.setUint32(0, bytes.byteLength, true);
    const numbers = [...arenas.map(({ byteLength }) => byteLength), ...uniforms.map((name) => values[name])];
    for (const [i, number] of numbers.entries()) head.setFloat64(8 + 8 * i, number, true);
    for (const part of [new Uint8Array(head.buffer), bytes, ...arenas]) this.#child.stdin?.write(part);
    const answer = await this.#take(16);
    const message = (await this.#take(answer.readUInt32LE(12))).toString();
    if (answer.readInt32LE(0) !== 0) throw new EngineError(`${program.name}: ${message}`);
    for (const arena of arenas) arena.set(await this.#take(arena.byteLength));
  }

  async #take(bytes: number): Promise<Buffer> {
    while (this.#come.byteLength < bytes) {
      this.#chunks ??= (this.#child.stdout as Readable)[Symbol.asyncIterator]();
      const { done, value } = await this.#chunks.next();
      if (done) throw new EngineError(`${this.command.join(" ")} ended before it had answered`);
      this.#come = Buffer.concat([this.#come, value as Buffer]);
    }
    const taken = this.#come.subarray(0, bytes);
    this.#come = this.#come.subarray(bytes);
    return taken;
  }
}
