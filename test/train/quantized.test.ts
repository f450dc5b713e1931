// Adapters learn on a base in few bits, and the run's folder and the adapter's file say what the base was held in.

import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { openDevice } from "../../src/engine/devices.js";
import { openSafetensors } from "../../src/model/index.js";
import { quantizations } from "../../src/model/quantize.js";
import { eventsOf, temporaryFolder, tinyLora, trainTiny } from "./tiny-run.js";

for (const name of ["reference", "cpu", "tfjs"] as const) {
  test.each(quantizations)(`on ${name}, loss falls on a base in %s, within the planned memory`, async (quantize) => {
    const device = await openDevice(name);
    const outputFolder = path.join(temporaryFolder(), "run");
    const model = await tinyLora({ rank: 8 }, { quantize }, device);
    const run = await trainTiny(model, { maxSteps: 30, batchSize: 9, learningRate: 3e-2, outputFolder });
    const { firstLoss, lastLoss } = await run.finished;
    expect(lastLoss).toBeLessThan(0.7 * (firstLoss as number));
    expect(eventsOf(run, "planned")[0]).toMatchObject({ quantize, dtype: "f32" });
    expect(JSON.parse(readFileSync(path.join(outputFolder, "options.json"), "utf8")).options).toMatchObject({
      quantize,
    });
    const file = await openSafetensors(path.join(outputFolder, "adapter", "adapter_model.safetensors"));
    expect(file.metadata).toEqual({ format: "pt", base_quantization: quantize });
    await file.close();
    model.dispose();
    model.base.dispose();
  });
}
