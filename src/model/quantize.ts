// Linear layers of a model in few bits: which tensors, and their way from a checkpoint onto the device. Formats: engine/quantized.ts.

import type { Arena, Device, Executable } from "../engine/device.js";
import { elementBytes, type FloatDType } from "../engine/dtype.js";
import { neutralUniforms } from "../engine/ops.js";
import { align, type Buffer, bufferBytes, type Category, categories, type Program } from "../engine/program.js";
import { type QuantizedDType, quantizedLayout, quantizedShapeProblem } from "../engine/quantized.js";
import type { ModelConfig } from "./config.js";
import type { LinearSite, Model } from "./model.js";
import type { TensorSpec } from "./resident.js";
import { addFaults, faultsIn, type WeightFault } from "./weights/faults.js";
import type { TensorFile } from "./weights/index.js";

/** What frozen linear layers are held in: 8 bits with a scale per row, or 4 bits with a scale per 64 numbers. */
export const quantizations = ["int8", "int4", "nf4"] as const;
export type Quantization = (typeof quantizations)[number];

/** For people: "bf16", or "bf16, linear layers in nf4". */
export function dtypesOf({ dtype, quantize }: Pick<Model, "dtype" | "quantize">): string {
  return quantize === undefined ? dtype : `${dtype}, linear layers in ${quantize}`;
}

const formats: Readonly<Record<Quantization, QuantizedDType>> = { int8: "i8", int4: "i4", nf4: "nf4" };

/**
 * What a model's linear layers are held in: what is asked, or what the checkpoint holds them in already.
 *
 * @throws RangeError when both are there and are not the same.
 */
export function quantizationOf(
  { quantized }: Pick<ModelConfig, "quantized">,
  asked: Quantization | undefined,
): Quantization | undefined {
  if (quantized === undefined || asked === undefined || asked === quantized) return asked ?? quantized;
  throw new RangeError(
    `expected \`quantize\` to be ${quantized}, which the checkpoint holds its linear layers in already, got ${asked}; leave it out`,
  );
}

/**
 * The tensors of a model with the matrices of its linear layers quantised. Embeddings, norms, biases and the head stay as they are.
 *
 * @param coded - The checkpoint holds these matrices so already.
 * @throws RangeError when there is no such format, or a matrix does not fit it.
 */
export function quantizeSpecs(
  specs: readonly TensorSpec[],
  linears: readonly LinearSite[],
  quantize: Quantization | undefined,
  coded = false,
): readonly TensorSpec[] {
  if (quantize === undefined) return specs;
  const dtype = Object.hasOwn(formats, quantize) ? formats[quantize] : undefined;
  if (dtype === undefined) {
    throw new RangeError(`expected \`quantize\` to be one of ${quantizations.join(", ")}, got ${quantize}`);
  }
  const matrices = new Set(linears.map(({ name }) => `${name}.weight`));
  return specs.map((spec) => {
    if (!matrices.has(spec.name)) return spec;
    const expected = quantizedShapeProblem(dtype, spec.shape);
    if (expected === undefined) return { ...spec, dtype, ...(coded && { coded }) };
    throw new RangeError(
      `${spec.name}: it has shape [${spec.shape.join(", ")}], expected ${expected}; load the model with \`quantize: "int8"\`, or without`,
    );
  });
}

/** Bytes of a checkpoint that are on their way at a time. */
export const STAGE_BYTES = 8 << 20;

interface Matrix {
  readonly name: string;
  readonly dtype: QuantizedDType;
  readonly shape: readonly number[];
}

/** Some rows of a matrix on the device, as numbers and as codes. */
interface Stage {
  readonly program: Program;
  readonly arenas: Readonly<Partial<Record<Category, Arena>>>;
  readonly executable: Executable;
}

/**
 * Reads matrices some rows at a time, lets the device quantise them and puts the codes where they belong, so that no more than
 * `stageBytes` of numbers, or one row, are held beside the result.
 */
export class Quantizer {
  #stage: { readonly key: string; readonly value: Stage } | undefined;

  constructor(
    readonly device: Device,
    readonly file: TensorFile,
    readonly stageBytes = STAGE_BYTES,
  ) {}

  /** One tensor of the checkpoint to its place in an arena; what of it is not finite. */
  async load(matrix: Matrix, arena: Arena, offset: number): Promise<WeightFault | undefined> {
    const { name, dtype, shape } = matrix;
    const [rows, columns] = shape as [number, number];
    const from = this.#numbersOf(name);
    const rowBytes = columns * elementBytes[from];
    const most = Math.max(1, Math.floor(this.stageBytes / rowBytes));
    const whole = quantizedLayout(dtype, shape);
    let fault: WeightFault | undefined;
    let row = 0;
    let filled = 0;
    for await (const piece of this.file.pieces(name, from)) {
      fault = addFaults(fault, faultsIn(piece.data, { name, dtype: from, shape }, piece.offset));
      for (let at = 0; at < piece.data.length; ) {
        const count = Math.min(most, rows - row);
        const stage = await this.#stageOf(dtype, from, count, columns);
        const part = piece.data.subarray(at, at + Math.min(piece.data.length - at, count * rowBytes - filled));
        await stage.arenas.io?.write(filled, part);
        at += part.length;
        filled += part.length;
        if (filled < count * rowBytes) continue;
        await stage.executable.run(neutralUniforms);
        const own = quantizedLayout(dtype, [count, columns]);
        const coded = (await stage.arenas.weights?.read(0, own.bytes)) as Uint8Array;
        await arena.write(offset + row * own.rowBytes, coded.subarray(0, count * own.rowBytes));
        await arena.write(offset + whole.scales + 4 * row, coded.subarray(own.scales, own.factors));
        await arena.write(offset + whole.factors + row * own.groups, coded.subarray(own.factors));
        row += count;
        filled = 0;
      }
    }
    return fault;
  }

  free(): void {
    const stage = this.#stage?.value;
    this.#stage = undefined;
    stage?.executable.dispose();
    for (const arena of Object.values(stage?.arenas ?? {})) arena.free();
  }

  /** The dtype in which the file's numbers are exact. */
  #numbersOf(name: string): FloatDType {
    const stored = this.file.tensors.get(name)?.dtype;
    return stored === "BF16" ? "bf16" : stored === "F16" ? "f16" : "f32";
  }

  async #stageOf(dtype: QuantizedDType, from: FloatDType, rows: number, columns: number): Promise<Stage> {
    const key = `${dtype} ${from} ${rows} ${columns}`;
    if (this.#stage?.key === key) return this.#stage.value;
    this.free();
    const program = castProgram(this.device, dtype, from, [rows, columns]);
    const arenas: Partial<Record<Category, Arena>> = {};
    try {
      for (const category of categories) {
        const bytes = program.arenaBytes[category];
        if (bytes > 0) arenas[category] = this.device.allocate(category, bytes);
      }
      const value = { program, arenas, executable: await this.device.compile(program, arenas) };
      this.#stage = { key, value };
      return value;
    } catch (error) {
      for (const arena of Object.values(arenas)) arena.free();
      throw error;
    }
  }
}

/** One cast from numbers in io to codes in weights. */
function castProgram(device: Device, dtype: QuantizedDType, from: FloatDType, shape: readonly number[]): Program {
  const x: Buffer = { name: "numbers", arena: "io", offset: 0, dtype: from, shape };
  const y: Buffer = { name: "codes", arena: "weights", offset: 0, dtype, shape };
  const bytes = device.workspaceBytes({ op: "cast", inputs: [x], outputs: [y], attrs: [] });
  const zeros = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
  return {
    name: `quantize to ${dtype}`,
    arenaBytes: { ...zeros, io: align(bufferBytes(x)), weights: align(bufferBytes(y)), workspace: align(bytes) },
    buffers: [x, y],
    ops: [{ op: "cast", inputs: [0], outputs: [1], attrs: [], workspace: { offset: 0, bytes } }],
  };
}
