// All cases of the contract, and the test of a device's values against the exact reference on each of them.

import { describe, test } from "vitest";
import type { Device } from "../../../src/engine/device.js";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { expectClose } from "../../close.js";
import { type OneOp, runOne } from "./build.js";
import { cases } from "./cases.js";
import { attentionCases } from "./cases-attention.js";
import { familyCases } from "./cases-families.js";
import { quantizedCases } from "./cases-quantized.js";
import { randomCases } from "./cases-random.js";
import { reasonAgainst, tolerances } from "./devices.js";
import { type Act, type Case, Make } from "./make.js";

export const allCases: readonly Case[] = [
  ...cases,
  ...attentionCases,
  ...familyCases,
  ...quantizedCases,
  ...randomCases,
];

const exact = referenceDevice({ exact: true });

interface Judged {
  readonly one: OneOp;
  readonly expected: Readonly<Record<string, Float64Array>>;
}

/** Cases with their results, computed once for all devices: the reference is slow. */
const judged = new Map<string, Promise<Judged>>();

function judge({ title, make }: Case, dtype: Act): Promise<Judged> {
  const key = `${title} ${dtype}`;
  let found = judged.get(key);
  if (!found) {
    found = Promise.resolve(make(new Make(dtype))).then(async (one) => ({ one, expected: await runOne(exact, one) }));
    judged.set(key, found);
  }
  return found;
}

/** What a device may leave in an output that is only scratch is its own affair. */
const scratch = (one: OneOp, name: string) => one.op === "headLoss" && name === "logits";

/** Declare one test per case and dtype of a device. */
export function judgeValues(device: Device): void {
  for (const dtype of device.info.computeDTypes as readonly Act[]) {
    describe(`in ${dtype}`, () => {
      for (const entry of allCases) {
        if (entry.only !== undefined && entry.only !== dtype) continue;
        const reason = reasonAgainst(device, entry.op);
        const { noQuantized } = device.info;
        if (noQuantized !== undefined && quantizedCases.includes(entry)) test.skip(`${entry.title}: ${noQuantized}`);
        else if (reason) test.skip(`${entry.title} (${reason})`, () => undefined);
        else test(entry.title, () => compare(device, entry, dtype));
      }
    });
  }
}

async function compare(device: Device, entry: Case, dtype: Act): Promise<void> {
  const { one, expected } = await judge(entry, dtype);
  const actual = await runOne(device, one);
  for (const [name, values] of Object.entries(expected)) {
    if (!scratch(one, name)) expectClose(actual[name], values, tolerances[dtype], `${one.op} ${name}`);
  }
}
