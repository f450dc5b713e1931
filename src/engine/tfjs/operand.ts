// What the tfjs kernels compute with: bytes of an arena seen as a tensor, as integers, or as host memory. Next to read: kernels.ts.

import { EngineError } from "../device.js";
import type { Shape } from "../dtype.js";
import type { HostArena, Place } from "../host.js";
import { decode, encodeInto } from "../number.js";
import type { Uniforms } from "../ops.js";
import { bufferBytes } from "../program.js";
import { dequantize, isQuantized, quantize } from "../quantized.js";
import type { Tensor, Tf } from "./load.js";

export interface Operand {
  readonly shape: Shape;
  /** f32, made when first asked for. Lives until the op is over. */
  readonly tensor: Tensor;
  /** An i32 operand's numbers. */
  readonly ids: Int32Array;
  /** The operand's place in its arena. */
  readonly bytes: Uint8Array;
}

export interface Context {
  readonly tf: Tf;
  readonly uniforms: Uniforms;
}

/** Results by operand name. A kernel that has written host memory itself returns none for that operand. */
export type Results = Readonly<Record<string, Tensor>>;

/** Numbers of an f32 operand in the arena itself. */
export function floatsOf({ bytes }: Pick<Operand, "bytes">): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** @throws EngineError when an id is not in 0 .. count - 1; where `skip` says so the id is not looked at. */
export function checkIds(name: string, ids: Int32Array, count: number, skip?: (id: number) => boolean): void {
  const i = ids.findIndex((id) => !(id >= 0 && id < count) && !skip?.(id));
  if (i >= 0) throw new EngineError(`${name}[${i}] is ${ids[i]}, expected 0 to ${count - 1}`);
}

/** Tensors of frozen weights, kept while their bytes stay as they are. */
export class Tensors {
  readonly #frozen = new Map<HostArena, Map<string, { readonly tensor: Tensor; readonly place: Place }>>();

  constructor(readonly tf: Tf) {}

  operand(place: Place): Operand {
    const { arena, buffer } = place;
    const tensorOf = () => this.#tensor(place);
    let tensor: Tensor | undefined;
    return {
      shape: buffer.shape,
      bytes: arena.bytesAt(buffer),
      get tensor() {
        return (tensor ??= tensorOf());
      },
      get ids() {
        return new Int32Array(
          arena.data.buffer,
          buffer.offset,
          buffer.shape.reduce((a, b) => a * b, 1),
        );
      },
    };
  }

  /** Puts a result into its place, rounded to the buffer's dtype. */
  store(place: Place, result: Tensor): void {
    const bytes = place.arena.bytesAt(place.buffer);
    const values = result.dataSync() as Float32Array;
    const { dtype, shape } = place.buffer;
    if (isQuantized(dtype)) bytes.set(quantize(values, dtype, shape));
    else if (dtype === "f32") floatsOf({ bytes }).set(values);
    else encodeInto(bytes, values, dtype);
  }

  /** Bytes have changed: tensors made from them are dropped. */
  forget(arena: HostArena, offset: number, bytes: number): void {
    const kept = this.#frozen.get(arena);
    for (const [key, { tensor, place }] of kept ?? []) {
      if (place.buffer.offset >= offset + bytes || offset >= place.buffer.offset + bufferBytes(place.buffer)) continue;
      tensor.dispose();
      kept?.delete(key);
    }
  }

  drop(arena: HostArena): void {
    this.forget(arena, 0, arena.bytes);
    this.#frozen.delete(arena);
  }

  #tensor(place: Place): Tensor {
    const { arena, buffer } = place;
    if (buffer.arena !== "weights") return this.#make(place);
    let kept = this.#frozen.get(arena);
    if (!kept) this.#frozen.set(arena, (kept = new Map()));
    const key = `${buffer.offset} ${buffer.dtype} ${buffer.shape}`;
    const found = kept.get(key);
    if (found) return found.tensor;
    const tensor = this.tf.keep(this.#make(place));
    kept.set(key, { tensor, place });
    return tensor;
  }

  #make({ arena, buffer }: Place): Tensor {
    return this.tf.tensor(widen(arena.bytesAt(buffer), buffer), [...buffer.shape], "float32");
  }
}

/** Bytes as f32: the memory itself where it holds f32 already. */
function widen(bytes: Uint8Array, { dtype, shape }: Place["buffer"]): Float32Array {
  if (isQuantized(dtype)) return dequantize(bytes, dtype, shape);
  if (dtype === "f32") return floatsOf({ bytes });
  if (dtype !== "bf16") return Float32Array.from(decode(bytes, dtype));
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}
