// The devices that the contract suite judges. One that cannot be opened here is skipped by name, with the reason in the title.

import { describe, test } from "vitest";
import type { Device } from "../../../src/engine/device.js";
import { openDevice } from "../../../src/engine/devices.js";
import type { FloatDType } from "../../../src/engine/dtype.js";
import type { OpName } from "../../../src/engine/ops.js";
import type { Tolerance } from "../../close.js";
import { simulatedGpu } from "../cuda/simulated.js";

const names = ["reference", "cpu", "tfjs", "cuda-sim", "cuda:0"] as const;
type Name = (typeof names)[number];

/** The simulated GPU is no device for use: tests alone open it. */
const open = async (name: Name): Promise<Device> => (name === "cuda-sim" ? simulatedGpu() : openDevice(name));

const found = await Promise.all(
  names.map(async (name) => {
    try {
      return { name, device: await open(name) };
    } catch (error) {
      return { name, reason: (error as Error).message.split("\n")[0] as string };
    }
  }),
);

/** Declare the same tests for every device. */
export function onEveryDevice(suite: (device: Device, name: Name) => void): void {
  for (const entry of found) {
    describe(entry.name, () => {
      if (entry.device) suite(entry.device, entry.name);
      else test.skip(`not run: ${entry.reason}`, () => undefined);
    });
  }
}

/**
 * How far a device's numbers may be from those of the exact reference, for values of about 1 and sums of up to a few hundred terms.
 * f32 has 24 bits, so sums in another order differ by about 1e-6; bf16 has 8 bits and f16 has 11, rounded once on entry to a
 * product and once on the way out.
 */
export const tolerances: Readonly<Record<FloatDType, Tolerance>> = {
  f32: { absolute: 2e-5, relative: 2e-5 },
  bf16: { absolute: 2e-2, relative: 2 ** -7 },
  f16: { absolute: 3e-3, relative: 2 ** -9 },
};

/** Ops that no GPU kernel makes yet; a Program with one of them is refused by name. */
const onCpuAlone: ReadonlySet<OpName> = new Set<OpName>([
  "layerNorm",
  "layerNormInput",
  "layerNormWeight",
  "gelu",
  "geluBackward",
  "geglu",
  "gegluBackward",
  "relu",
  "reluBackward",
  "scaledAdd",
  "splitHeads",
  "joinHeads",
  "ropeSections",
  "attentionBiased",
  "attentionBiasedBackward",
]);

/** Why a device cannot run an op, where it cannot. */
export function reasonAgainst({ name }: Pick<Device, "name">, op: OpName): string | undefined {
  return name.startsWith("cuda") && onCpuAlone.has(op) ? `not run: ${op} has no kernel on a GPU yet` : undefined;
}
