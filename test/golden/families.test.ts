// ChatGLM and T5, tiny and random, against PyTorch in f64: logits, loss, the gradient of every weight and adapter, 20 updates, answers.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { attachLora, trainFully } from "../../src/adapter/index.js";
import type { Device } from "../../src/engine/index.js";
import { openGenerator } from "../../src/generate/index.js";
import { type Model, parseConfig } from "../../src/model/index.js";
import { type Batch, batches, contextOf, type Encoded } from "../../src/tokens/index.js";
import { resolveOptions } from "../../src/train/options.js";
import { planRun } from "../../src/train/plan.js";
import { Stepper } from "../../src/train/step.js";
import { expectClose } from "../close.js";
import { onEveryDevice, reasonAgainst } from "../engine/contract/devices.js";
import { letters, tinyModel } from "../model/tiny.js";
import { named } from "./formula.js";
import { forward, type LabelledRow } from "./forward.js";

interface Case {
  readonly config: Readonly<Record<string, unknown>>;
  readonly rank: number;
  readonly alpha: number;
  readonly rows: readonly { ids: readonly number[]; labels: readonly number[]; source?: readonly number[] }[];
  readonly baseLogits: readonly number[][];
  readonly logits: readonly number[][];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly fullLoss: number;
  readonly fullGradients: Readonly<Record<string, readonly number[]>>;
  readonly learningRate: number;
  readonly losses: readonly number[];
  readonly answers: readonly { readonly prompt: readonly number[]; readonly answer: readonly number[] }[];
}

const read = (name: string) =>
  Object.entries(JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as Record<string, Case>);
const golden = [...read("chatglm.json"), ...read("t5.json")];

/** The golden numbers are f64's, to 8 digits; f32 loses a few last bits in two layers. */
const tolerance = { absolute: 2e-5, relative: 2e-5 };
const ofGradients = { absolute: 1e-5, relative: 1e-4 };

function baseOf(device: Device, expected: Case): Promise<Model> {
  const config = parseConfig(expected.config);
  const tokenizer = { ...letters, eos: config.eos[0] };
  return tinyModel(device, { config, tokenizer, values: ({ name, shape }) => named(name, shape) });
}

function rowsOf({ form }: Model, { rows }: Case): readonly LabelledRow[] {
  return rows.map((row) => (form.kind === "prefix" ? { ...row, context: contextOf(row.ids, form) } : row));
}

async function tunedOf(base: Model, { rank, alpha }: Case, start: boolean): Promise<Model> {
  const model = await attachLora(base, { rank, alpha });
  for (const { name, shape } of model.trained?.list ?? []) {
    const values = named(name, shape);
    await model.trained?.write(name, start && name.includes("lora_B") ? values.fill(0) : values);
  }
  return model;
}

/** Losses of updates on all rows at once, without clipping and decay. */
async function curve(model: Model, encoded: readonly Encoded[], { losses, learningRate }: Case): Promise<number[]> {
  const [batch] = [...batches(encoded, { batchSize: encoded.length, pad: 0, multipleOf: 1 })] as [Batch];
  const options = resolveOptions({ data: [], weightDecay: 0 });
  const stepper = Stepper.open(model, await planRun(model, options, { train: [batch], validation: [], first: batch }));
  try {
    const made: number[] = [];
    for (let step = 1; step <= losses.length; step++) {
      made.push((await stepper.update([batch], { learningRate, step })).loss);
    }
    return made;
  } finally {
    await stepper.dispose();
  }
}

onEveryDevice((device) => {
  const reason = reasonAgainst(device, "attentionBiased") ?? reasonAgainst(device, "layerNorm");
  describe.skipIf(reason).each(golden)(`%s${reason ? ` (${reason})` : ""}`, (_, expected) => {
    test("logits, loss and every weight's gradient are PyTorch's", async () => {
      const base = await baseOf(device, expected);
      const bare = await forward(base, rowsOf(base, expected));
      for (const [row, scores] of bare.logits.entries()) {
        expectClose(scores, expected.baseLogits[row] as number[], tolerance, `logits of row ${row}`);
      }
      const { loss, gradients } = await forward(await trainFully(base), rowsOf(base, expected));
      expectClose(loss, expected.fullLoss, tolerance, "loss");
      expect([...gradients.keys()].sort()).toEqual(Object.keys(expected.fullGradients).sort());
      for (const [name, values] of gradients) {
        expectClose(values, expected.fullGradients[name] as number[], ofGradients, `gradient of ${name}`);
      }
    });

    test("logits, loss and every gradient with adapters are PyTorch's", async () => {
      const base = await baseOf(device, expected);
      const { logits, loss, gradients } = await forward(await tunedOf(base, expected, false), rowsOf(base, expected));
      for (const [row, scores] of logits.entries()) {
        expectClose(scores, expected.logits[row] as number[], tolerance, `logits of row ${row}`);
      }
      expectClose(loss, expected.loss, tolerance, "loss");
      expect([...gradients.keys()].sort()).toEqual(Object.keys(expected.gradients).sort());
      for (const [name, values] of gradients) {
        expectClose(values, expected.gradients[name] as number[], ofGradients, `gradient of ${name}`);
      }
    });

    test("greedy answers are those of whole forwards without a cache", async () => {
      const model = await tunedOf(await baseOf(device, expected), expected, false);
      const generator = await openGenerator(model, { tokens: 32 });
      try {
        for (const { prompt, answer } of expected.answers) {
          const ids: number[] = [];
          for await (const { id } of generator.generate(prompt, { maxNewTokens: 8 })) ids.push(id);
          expect(ids).toEqual(answer);
        }
      } finally {
        await generator.dispose();
      }
    });

    test("20 updates of the adapters lose what PyTorch's lose", async () => {
      const base = await baseOf(device, expected);
      const model = await tunedOf(base, expected, true);
      const encoded = rowsOf(base, expected).map(({ ids, labels = [], context, source }, row): Encoded => {
        const trained = ids.map((_, t) => t > 0 && labels[t - 1] !== -100);
        return { ids, trained, row, ...(context && { context }), ...(source && { source }) };
      });
      expectClose(await curve(model, encoded, expected), expected.losses, { relative: 1e-3 }, "losses");
    });
  });
});
