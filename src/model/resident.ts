// Frozen tensors on the device: one arena of exactly their size, filled tensor by tensor from a checkpoint. Made by load.ts.

import type { Arena, Device } from "../engine/device.js";
import { isQuantized, type QuantizedDType } from "../engine/quantized.js";
import { type Layout, layOut, type Placements } from "../graph/index.js";
import { loadCoded, storedParts } from "./coded.js";
import type { ComputeDType } from "./model.js";
import { Quantizer } from "./quantize.js";
import { addFaults, checkFits, faultsIn } from "./weights/faults.js";
import { CheckpointError, type TensorFile, type WeightFault } from "./weights/index.js";

/** A tensor that a family's code asks for: from the checkpoint, or computed from the config. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: ComputeDType | QuantizedDType | "i32";
  readonly shape: readonly number[];
  /** Its values, where it is not in the checkpoint, such as a table of angles. Of i32 there are only such. */
  readonly values?: () => Float32Array | Int32Array;
  /** The checkpoint holds codes and a scale per row, see coded.ts. */
  readonly coded?: boolean;
}

export interface ResidentWeights {
  readonly specs: ReadonlyMap<string, TensorSpec>;
  readonly arena: Arena;
  readonly placements: Placements;
  readonly bytes: number;
  /** Tensors of the checkpoint that the model does not use. */
  readonly unused: readonly string[];
  /** Tensors that hold NaN or infinities. A run on them is refused before its first update. */
  readonly faults: readonly WeightFault[];
}

export function weightsLayout(specs: readonly TensorSpec[]): Layout {
  return layOut("weights", specs);
}

/**
 * Allocate the weights' arena and fill it, converting each tensor on its way.
 *
 * @throws CheckpointError when a tensor is missing or has another shape than the config says, before anything is allocated;
 *   when a number does not fit the dtype.
 */
export async function loadResident(
  device: Device,
  file: TensorFile,
  specs: readonly TensorSpec[],
): Promise<ResidentWeights> {
  for (const { name, shape } of specs.flatMap(storedParts)) {
    const found = file.tensors.get(name);
    if (found && found.shape.join() !== shape.join()) {
      throw new CheckpointError(
        file.path,
        `it has shape [${found.shape.join(", ")}], config.json says [${shape.join(", ")}]`,
        {
          tensor: name,
        },
      );
    }
    if (!found) await file.tensor(name); // says what is missing and what is there
  }
  const { placements, bytes } = weightsLayout(specs);
  const arena = device.allocate("weights", bytes);
  const faults: WeightFault[] = [];
  const quantizer = new Quantizer(device, file);
  try {
    for (const spec of specs) {
      const { offset } = placements.get(spec.name) as { offset: number };
      if (spec.values) {
        await arena.write(offset, new Uint8Array(spec.values().buffer));
        continue;
      }
      const { name, dtype, shape } = spec;
      if (dtype === "i32") throw new CheckpointError(file.path, "a table of i32 has no values", { tensor: name });
      let fault: WeightFault | undefined;
      if (isQuantized(dtype)) {
        const matrix = { name, dtype, shape };
        fault = spec.coded ? await loadCoded(file, matrix, arena, offset) : await quantizer.load(matrix, arena, offset);
      } else {
        for await (const piece of file.pieces(name, dtype)) {
          fault = addFaults(fault, faultsIn(piece.data, { name, dtype, shape }, piece.offset));
          await arena.write(offset + piece.offset, piece.data);
        }
      }
      if (fault && dtype === "f16") await checkFits(file, fault);
      if (fault) faults.push(fault);
    }
  } catch (error) {
    arena.free();
    throw error;
  } finally {
    quantizer.free();
  }
  const used = new Set(specs.flatMap(storedParts).map(({ name }) => name));
  const unused = [...file.tensors.keys()].filter((name) => !used.has(name));
  return { specs: new Map(specs.map((spec) => [spec.name, spec])), arena, placements, bytes, unused, faults };
}
