// Tiny random models of every kind the family has, against transformers and PEFT: logits, loss, and the gradient of every adapter tensor.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { attachLora } from "../../src/adapter/index.js";
import type { Device } from "../../src/engine/index.js";
import { parseConfig } from "../../src/model/config.js";
import { expectClose } from "../close.js";
import { onEveryDevice } from "../engine/contract/devices.js";
import { tinyModel } from "../model/tiny.js";
import { named } from "./formula.js";
import { forward, type LabelledRow } from "./forward.js";

interface Case {
  readonly config: Readonly<Record<string, unknown>>;
  readonly rank: number;
  readonly alpha: number;
  readonly rows: readonly LabelledRow[];
  readonly baseLogits: readonly number[][];
  readonly logits: readonly number[][];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

const golden = JSON.parse(readFileSync(new URL("llama.json", import.meta.url), "utf8")) as Record<string, Case>;

/** The golden numbers are f64's, to 8 digits; logits are about 3, and f32 loses a few last bits in two layers. */
const tolerance = { absolute: 2e-5, relative: 2e-5 };
/** Of gradients: PyTorch's own f32 sums are up to 3.2e-5 from those of the exact reference, where they reach 3.8. */
const ofGradients = { absolute: 4e-5, relative: 4e-5 };

const baseOf = (device: Device, { config }: Case) =>
  tinyModel(device, { config: parseConfig(config), values: ({ name, shape }) => named(name, shape) });

onEveryDevice((device) => {
  describe.each(Object.entries(golden))("%s", (_, expected) => {
    test("logits without adapters equal those of transformers", async () => {
      const { logits } = await forward(await baseOf(device, expected), expected.rows);
      for (const [row, scores] of logits.entries()) {
        expectClose(scores, expected.baseLogits[row] as number[], tolerance, `logits of row ${row}`);
      }
    });

    test("logits, loss and every gradient with adapters equal those of PEFT", async () => {
      const { rank, alpha } = expected;
      const model = await attachLora(await baseOf(device, expected), { rank, alpha });
      for (const { name, shape } of model.trained?.list ?? []) await model.trained?.write(name, named(name, shape));
      const { logits, loss, gradients } = await forward(model, expected.rows);
      for (const [row, scores] of logits.entries()) {
        expectClose(scores, expected.logits[row] as number[], tolerance, `logits of row ${row}`);
      }
      expectClose(loss, expected.loss, tolerance, "loss");
      expect([...gradients.keys()].sort()).toEqual(Object.keys(expected.gradients).sort());
      for (const [name, values] of gradients) {
        expectClose(values, expected.gradients[name] as number[], ofGradients, `gradient of ${name}`);
      }
    });
  });
});
