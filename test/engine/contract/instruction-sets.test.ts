// The cpu device's kernels for other processors, and on other numbers of threads: values.test.ts runs only the set that is chosen here.

import { afterAll, describe, test } from "vitest";
import { cpuDevice, cpuInstructionSets } from "../../../src/engine/cpu.js";
import type { Device } from "../../../src/engine/device.js";
import { openDevice } from "../../../src/engine/devices.js";
import { expectClose } from "../../close.js";
import { runOne } from "./build.js";
import { allCases, judgeValues } from "./judge.js";
import { type Act, Make } from "./make.js";

async function found(): Promise<{ readonly sets: readonly string[] } | { readonly reason: string }> {
  try {
    const chosen = (await openDevice("cpu")).info.description.split(", ");
    return { sets: cpuInstructionSets().filter((isa) => !chosen.includes(isa)) };
  } catch (error) {
    return { reason: (error as Error).message.split("\n")[0] };
  }
}

const cpu = await found();

if ("reason" in cpu) {
  test.skip(`not run: ${cpu.reason}`, () => undefined);
} else {
  describe.each(cpu.sets)("cpu with %s", (isa) => {
    const device = cpuDevice({ isa });
    afterAll(() => device.dispose());
    judgeValues(device);
  });

  describe("1 thread and 3 threads give the same bits", () => {
    const [one, three]: readonly Device[] = [1, 3].map((threads) => cpuDevice({ threads }));
    afterAll(async () => {
      await one.dispose();
      await three.dispose();
    });
    for (const dtype of one.info.computeDTypes as readonly Act[]) {
      for (const { title, make, only } of allCases) {
        if (only !== undefined && only !== dtype) continue;
        test(`${title}, in ${dtype}`, async () => {
          const [expected, actual] = [
            await runOne(one, await make(new Make(dtype))),
            await runOne(three, await make(new Make(dtype))),
          ];
          for (const [name, values] of Object.entries(expected)) {
            if (name !== "logits") expectClose(actual[name], values, {}, name);
          }
        });
      }
    }
  });
}
