// A real model of 260 thousand parameters, on every device: its logits, and adapters to PEFT and back. Its published text is held by
// test/generate.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "vitest";
import { attachLora, loadAdapter, saveAdapter } from "../../src/adapter/index.js";
import type { Device } from "../../src/engine/index.js";
import { loadModel, type Model, writeSafetensors } from "../../src/model/index.js";
import { expectClose } from "../close.js";
import { onEveryDevice } from "../engine/contract/devices.js";
import { temporaryFolder } from "../train/tiny-run.js";
import { named } from "./formula.js";
import { forward } from "./forward.js";
import { absent, greedyFixture, readJson, stories } from "./stories.js";

interface GreedyFixture {
  readonly greedy_ids_from_bos: readonly number[];
  readonly logits_first4_positions: readonly (readonly number[])[];
  readonly nll_of_greedy_tokens: readonly number[];
}

interface AdapterGolden {
  readonly rank: number;
  readonly alpha: number;
  readonly ids: readonly number[];
  readonly positions: readonly number[];
  readonly base: readonly number[][];
  readonly tuned: readonly number[][];
}

const golden = readJson<Record<"formula" | "byPeft", AdapterGolden>>(new URL("lora_adapter.json", import.meta.url));
const python = process.env["TUNEBOOK_GOLDEN_PYTHON"];

/** f32 sums in another order than numpy's and PyTorch's; logits reach 20. */
const tolerance = { absolute: 1e-4 };

const load = (device: Device) => loadModel(stories, { device, dtype: "f32" });

/** The golden positions' scores of a model, one list after another. */
async function scoresOf(model: Model, { ids, positions }: AdapterGolden): Promise<number[]> {
  const { logits } = await forward(model, [{ ids }]);
  const { vocab } = model.config;
  return positions.flatMap((at) => [...(logits[0] as Float32Array).subarray(at * vocab, (at + 1) * vocab)]);
}

/** An adapter folder in PEFT's layout, every value from the formula. */
async function formulaAdapter(model: Model): Promise<string> {
  const { rank, alpha } = golden.formula;
  const folder = path.join(temporaryFolder(), "adapter");
  const tensors = new Map(
    model.linears.flatMap(({ name, inputs, outputs }) =>
      (
        [
          [`${name}.lora_A.weight`, [rank, inputs], 1],
          [`${name}.lora_B.weight`, [outputs, rank], Math.fround(0.1)],
        ] as const
      ).map(([tensor, shape, factor]) => {
        const values = named(tensor, shape).map((value) => value * factor);
        return [
          `base_model.model.${tensor}`,
          { dtype: "F32" as const, shape, data: new Uint8Array(values.buffer) },
        ] as const;
      }),
    ),
  );
  mkdirSync(folder, { recursive: true });
  await writeSafetensors(path.join(folder, "adapter_model.safetensors"), new Map(tensors));
  const modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
  const config = { peft_type: "LORA", r: rank, lora_alpha: alpha, target_modules: modules, bias: "none" };
  writeFileSync(path.join(folder, "adapter_config.json"), JSON.stringify(config));
  return folder;
}

describe.skipIf(absent)(`stories260k${absent ? ` (${absent})` : ""}`, () => {
  onEveryDevice((device, name) => {
    test("has the logits and the loss that numpy computed", async () => {
      const fixture = readJson<GreedyFixture>(greedyFixture);
      const model = await load(device);
      const ids = fixture.greedy_ids_from_bos.slice(0, -1);
      const labels = fixture.greedy_ids_from_bos.slice(1);
      const { logits, loss } = await forward(model, [{ ids, labels }]);
      expectClose(
        (logits[0] as Float32Array).subarray(0, 4 * model.config.vocab),
        fixture.logits_first4_positions.flat(),
        tolerance,
        "logits",
      );
      const { nll_of_greedy_tokens: nll } = fixture;
      expectClose(loss, nll.reduce((sum, value) => sum + value, 0) / nll.length, { absolute: 1e-5 }, "loss");
      model.dispose();
    });

    test("answers with adapters as PEFT does, and without them as before", async () => {
      const base = await load(device);
      const folders = {
        formula: await formulaAdapter(base),
        byPeft: path.join(import.meta.dirname, "adapter_by_peft"),
      };
      for (const [kind, folder] of Object.entries(folders) as [keyof typeof folders, string][]) {
        const tuned = await loadAdapter(base, folder);
        expectClose(await scoresOf(tuned, golden[kind]), golden[kind].tuned.flat(), tolerance, `with adapter ${kind}`);
        tuned.dispose();
      }
      expectClose(await scoresOf(base, golden.formula), golden.formula.base.flat(), tolerance, "without");
      base.dispose();
    });

    test.skipIf(name !== "cpu" || !python)(
      "writes an adapter with which PEFT answers the same (needs TUNEBOOK_GOLDEN_PYTHON)",
      async () => {
        const base = await load(device);
        const model = await attachLora(base, { rank: 6, alpha: 9, targets: ["q_proj", "v_proj", "down_proj"] });
        for (const tensor of model.trained?.list ?? [])
          await model.trained?.write(tensor.name, named(tensor.name, tensor.shape));
        const folder = path.join(temporaryFolder(), "adapter");
        await saveAdapter(model, folder);
        const script = path.join(import.meta.dirname, "peft_answers.py");
        const said = execFileSync(python as string, [script, folder, JSON.stringify(golden.formula.ids)], {
          encoding: "utf8",
        });
        const { logits } = await forward(model, [{ ids: golden.formula.ids }]);
        expectClose(logits[0] as Float32Array, (JSON.parse(said) as number[][]).flat(), tolerance, "logits by PEFT");
        model.dispose();
        base.dispose();
      },
      120_000,
    );
  });
});
