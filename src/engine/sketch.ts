// A device that only counts: it answers how much memory a plan needs and holds none, so that a 30B model can be planned on a laptop.

import { type Arena, type Device, EngineError, type ShapedOp } from "./device.js";
import type { DType } from "./dtype.js";
import { type Category, categories } from "./program.js";

export interface SketchOptions {
  /** For people: what is being planned for. */
  readonly name: string;
  /** Scratch the planned device would ask for. */
  readonly workspaceBytes: (op: ShapedOp) => number;
  readonly computeDTypes: readonly DType[];
  /** Why the planned device reads no quantised matrices, see DeviceInfo. */
  readonly noQuantized?: string | undefined;
  /** Speed of the planned device, see Device. */
  readonly speedAt?: ((tokens: number) => number) | undefined;
}

/** What a sketch takes from the device that is planned for. */
export function sketchOptions(device: Device): SketchOptions {
  const { name, info } = device;
  return {
    name,
    computeDTypes: info.computeDTypes,
    noQuantized: info.noQuantized,
    workspaceBytes: (op) => device.workspaceBytes(op),
    speedAt: device.speedAt && ((tokens) => device.speedAt?.(tokens) ?? 1),
  };
}

/**
 * Allocates numbers instead of memory: its arenas have a size and no bytes. Writes are dropped; reading, compiling and running are errors.
 */
export function sketchDevice({ name, workspaceBytes, computeDTypes, noQuantized, speedAt }: SketchOptions): Device {
  const allocated = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
  const refuse = (what: string) => new EngineError(`cannot ${what}: this device only plans memory for ${name}`);
  return {
    name,
    plansOnly: true,
    info: {
      description: `memory plan for ${name}`,
      threads: 0,
      memoryBytes: undefined,
      computeDTypes,
      ...(noQuantized === undefined ? {} : { noQuantized }),
    },
    workspaceBytes,
    ...(speedAt ? { speedAt } : {}),
    allocated: () => ({ ...allocated }),
    allocate(category, bytes): Arena {
      allocated[category] += bytes;
      let held = true;
      return {
        category,
        bytes,
        write: async () => undefined,
        read: async () => {
          throw refuse("read an arena");
        },
        free() {
          if (held) allocated[category] -= bytes;
          held = false;
        },
      };
    },
    compile: async () => {
      throw refuse("compile a program");
    },
    dispose: async () => undefined,
  };
}
