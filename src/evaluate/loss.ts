// How well a model predicts rows it does not train on.

import { neutralUniforms } from "../engine/index.js";
import { layOut } from "../graph/index.js";
import type { Model } from "../model/index.js";
import { readRows } from "../data/index.js";
import { batches, type Encoded, encodeRows, type Template, type TemplateName } from "../tokens/index.js";
import { allocateArenas, largest } from "../train/plan.js";
import { bucketKey, lossProgram } from "../train/programs.js";
import type { RowSource } from "../train/index.js";

export interface LossOptions {
  /** @default "alpaca" */
  readonly template?: TemplateName | Template | undefined;
  /** Longest row in tokens. @default 512, or the model's context where that is shorter */
  readonly maxTokens?: number | undefined;
  /** Count the tokens of the prompt too. @default false */
  readonly trainPrompt?: boolean | undefined;
  /** @default 4 */
  readonly batchSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Loss {
  /** Mean nats per counted token. */
  readonly loss: number;
  /** exp(loss): among how many equally likely tokens the model is undecided. */
  readonly perplexity: number;
  readonly tokens: number;
  readonly rows: number;
}

/**
 * Loss of a model on rows, over the tokens that training would train.
 *
 * @throws RangeError when no token counts; DatasetError when the rows do not hold.
 */
export async function evaluateLoss(model: Model, source: RowSource, options: LossOptions = {}): Promise<Loss> {
  const { template = "alpaca", maxTokens = Math.min(512, model.contextTokens), trainPrompt = false, batchSize = 4, signal } = options;
  const encoded: Encoded[] = [];
  const rows = readRows(source instanceof Promise ? await source : source);
  for await (const row of encodeRows(rows, model.tokenizer, { template, maxTokens, trainPrompt, signal })) encoded.push(row);

  const all = [...batches(encoded, { batchSize, pad: model.tokenizer.pad, maxTokens })];
  const io = layOut("io", [{ name: "totals", dtype: "f32", shape: [2] }]);
  const planned = new Map(all.map((batch) => [bucketKey(batch), lossProgram(model, batch, { io }, { gradients: false })]));
  const bytes = largest([...planned.values()].map(({ program }) => program));
  const { arenas, free } = allocateArenas(model.device, bytes, ["activations", "workspace", "io"]);
  const trained = model.trained ? { trained: model.trained.arena } : {};
  try {
    const programs = new Map<string, Awaited<ReturnType<typeof model.device.compile>>>();
    let [sum, tokens] = [0, 0];
    for (const batch of all) {
      const key = bucketKey(batch);
      const plan = planned.get(key) as NonNullable<ReturnType<typeof planned.get>>;
      const executable = programs.get(key) ?? (await model.device.compile(plan.program, { ...arenas, weights: model.weights.arena, ...trained }));
      programs.set(key, executable);
      const inputs = { ids: batch.tokens, positions: batch.positions, ranges: batch.ranges, labels: batch.labels };
      for (const [name, values] of Object.entries(inputs)) await arenas.io.write(plan.find(name).offset, new Uint8Array(values.buffer));
      const { offset } = plan.find("totals");
      await arenas.io.write(offset, new Uint8Array(8));
      await executable.run(neutralUniforms, signal ? { signal } : {});
      const totals = new Float32Array((await arenas.io.read(offset, 8)).slice().buffer);
      sum += totals[0] as number;
      tokens += totals[1] as number;
    }
    for (const executable of programs.values()) executable.dispose();
    if (tokens === 0) throw new RangeError(`evaluateLoss: no token of the ${encoded.length} rows counts; raise maxTokens or set trainPrompt`);
    return { loss: sum / tokens, perplexity: Math.exp(sum / tokens), tokens, rows: encoded.length };
  } finally {
    free();
  }
}
