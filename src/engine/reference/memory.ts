// Where the reference device reads and writes numbers: an arena's bytes, and in exact mode f64 twins beside them.

import { elementBytes } from "../dtype.js";
import type { HostArena, Place } from "../host.js";
import { decode, encodeInto } from "../number.js";
import { dequantize, isQuantized, quantize } from "../quantized.js";

/** A dtype's smallest size: an f64 twin stands beside every so many bytes, so that buffers may overlap in any way. */
const CELL = 2;

/** The unrounded numbers of one arena. A twin counts only while `known`; after a write by the host the bytes count. */
interface Twins {
  readonly values: Float64Array;
  readonly known: Uint8Array;
}

export class Memory {
  readonly #twins = new WeakMap<HostArena, Twins>();

  constructor(readonly exact: boolean) {}

  /** A copy of an operand's numbers. */
  load({ arena, buffer }: Place): Float64Array {
    if (isQuantized(buffer.dtype)) {
      return Float64Array.from(dequantize(arena.bytesAt(buffer), buffer.dtype, buffer.shape));
    }
    const data = decode(arena.bytesAt(buffer), buffer.dtype);
    const twins = this.#twins.get(arena);
    if (!twins) return data;
    const step = elementBytes[buffer.dtype] / CELL;
    for (let i = 0, cell = buffer.offset / CELL; i < data.length; i++, cell += step) {
      if (twins.known[cell]) data[i] = twins.values[cell];
    }
    return data;
  }

  /** Numbers into an operand: rounded into its bytes, and in exact mode as they are into the twins. */
  store({ arena, buffer }: Place, data: Float64Array): void {
    if (isQuantized(buffer.dtype)) {
      // What was rounded so coarsely has no twin: the codes are the numbers.
      const bytes = quantize(data, buffer.dtype, buffer.shape);
      arena.bytesAt(buffer).set(bytes);
      this.forget(arena, buffer.offset, bytes.length);
      return;
    }
    encodeInto(arena.bytesAt(buffer), data, buffer.dtype);
    if (!this.exact) return;
    const twins = this.#twinsOf(arena);
    const step = elementBytes[buffer.dtype] / CELL;
    const first = buffer.offset / CELL;
    twins.known.fill(0, first, first + data.length * step);
    for (let i = 0, cell = first; i < data.length; i++, cell += step) {
      twins.values[cell] = data[i];
      twins.known[cell] = 1;
    }
  }

  /** The host wrote bytes: they are the truth now. */
  forget(arena: HostArena, offset: number, bytes: number): void {
    const twins = this.#twins.get(arena);
    twins?.known.fill(0, Math.floor(offset / CELL), Math.ceil((offset + bytes) / CELL));
  }

  drop(arena: HostArena): void {
    this.#twins.delete(arena);
  }

  #twinsOf(arena: HostArena): Twins {
    let twins = this.#twins.get(arena);
    if (!twins) {
      const cells = Math.ceil(arena.bytes / CELL);
      twins = { values: new Float64Array(cells), known: new Uint8Array(cells) };
      this.#twins.set(arena, twins);
    }
    return twins;
  }
}
