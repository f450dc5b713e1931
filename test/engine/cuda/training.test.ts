// A whole training run on a simulated GPU: the losses of the cpu device, the same bits twice, and no memory kept when the rank changes.

import { describe, expect, test } from "vitest";
import { attachLora } from "../../../src/adapter/index.js";
import { openDevice } from "../../../src/engine/devices.js";
import type { Device } from "../../../src/engine/index.js";
import { expectClose } from "../../close.js";
import { tinyModel } from "../../model/tiny.js";
import { eventsOf, tinyLora, trainTiny } from "../../train/tiny-run.js";
import { notBuilt, simulatedGpu } from "./simulated.js";

/** Losses of 20 updates, and the trained tensors' bytes after them. */
async function trained(device: Device, dtype: "f32" | "bf16", steps = 20) {
  const model = await tinyLora({ rank: 2 }, { dtype }, device);
  const run = await trainTiny(model, { maxSteps: steps, seed: 7 });
  const losses = eventsOf(run, "updated").map(({ loss }) => loss);
  const arena = model.trained?.arena;
  const bytes = (await arena?.read(0, arena.bytes)) ?? new Uint8Array();
  await model.dispose();
  return { losses, bytes };
}

describe.skipIf(notBuilt)(
  `training on a simulated GPU${notBuilt ? ` (${notBuilt})` : ""}`,
  { timeout: 120_000 },
  () => {
    test.each([
      ["f32", 1e-4],
      ["bf16", 3e-2],
    ] as const)("20 updates in %s follow those of the cpu, and fall", async (dtype, tolerance) => {
      const gpu = simulatedGpu();
      const [ours, theirs] = [await trained(gpu, dtype), await trained(await openDevice("cpu"), dtype)];
      expect(ours.losses).toHaveLength(20);
      expectClose(ours.losses, theirs.losses, { absolute: tolerance, relative: tolerance });
      expect(ours.losses.at(-1)).toBeLessThan((ours.losses[0] as number) - 0.1);
      await gpu.dispose();
    });

    test("the same seed gives the same bits, whatever the order of the warps", async () => {
      const [one, two] = [simulatedGpu(0), simulatedGpu(1)];
      const [first, second] = [await trained(one, "bf16", 6), await trained(two, "bf16", 6)];
      expect(second.losses).toEqual(first.losses);
      expect(second.bytes).toEqual(first.bytes);
      await one.dispose();
      await two.dispose();
    });

    test("training again with another rank takes no more memory than the first time, and all of it comes back", async () => {
      const gpu = simulatedGpu();
      const base = await tinyModel(gpu);
      const free: number[] = [];
      for (const rank of [2, 4, 2, 2]) {
        const model = attachLora(base, { rank });
        await trainTiny(await model, { maxSteps: 1 });
        (await model).dispose();
        await base.weights.arena.read(0, 4); // after all that was asked for before
        free.push(gpu.state().freeBytes);
      }
      // Less is free by nothing of the runs; a device of another test that the collector takes down meanwhile gives some bytes back.
      expect(free.map((bytes) => bytes >= (free[0] as number))).toEqual(new Array(4).fill(true));
      base.dispose();
      expect(Object.values(gpu.allocated())).toEqual(new Array(8).fill(0));
      await gpu.dispose();
    });
  },
);
