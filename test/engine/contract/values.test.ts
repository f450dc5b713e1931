// Every op on every device agrees with the exact reference, whatever the shape, dtype, mask and optional operands.

import { describe, expect, test } from "vitest";
import { ops } from "../../../src/engine/ops.js";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { expectClose } from "../../close.js";
import { type OneOp, runOne } from "./build.js";
import { cases } from "./cases.js";
import { attentionCases } from "./cases-attention.js";
import { randomCases } from "./cases-random.js";
import { onEveryDevice, tolerances } from "./devices.js";
import { type Act, Make } from "./make.js";

const all = [...cases, ...attentionCases, ...randomCases];
const exact = referenceDevice({ exact: true });

/** What a device may leave in an output that is only scratch is its own affair. */
const scratch = (one: OneOp, name: string) => one.op === "headLoss" && name === "logits";

test("every op of the table has cases", () => {
  expect([...new Set(all.map(({ op }) => op))].sort()).toEqual(Object.keys(ops).sort());
});

onEveryDevice((device) => {
  describe.each(device.info.computeDTypes as readonly Act[])("in %s", (dtype) => {
    for (const { title, make, only } of all) {
      if (only !== undefined && only !== dtype) continue;
      test(title, async () => {
        const one = await make(new Make(dtype));
        const [expected, actual] = [await runOne(exact, one), await runOne(device, one)];
        for (const [name, values] of Object.entries(expected)) {
          if (!scratch(one, name)) expectClose(actual[name], values, tolerances[dtype], `${one.op} ${name}`);
        }
      });
    }
  });
});
