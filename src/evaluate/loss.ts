// How well a model predicts rows it does not train on.

import { readRows } from "../data/index.js";
import { type Executable, neutralUniforms } from "../engine/index.js";
import { layOut } from "../graph/index.js";
import type { Model } from "../model/index.js";
import { batches, type Encoded, encodeRows, lengthOf, type Template, type TemplateName } from "../tokens/index.js";
import type { RowSource } from "../train/index.js";
import { allocateArenas } from "../train/plan.js";
import { lossProgram, writeBatch } from "../train/programs.js";

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

/** Places of what the host reads: the sum of the loss and its number of tokens. */
const io = layOut("io", [{ name: "totals", dtype: "f32", shape: [2] }]);

/**
 * Loss of a model on rows, over the tokens that training would train.
 *
 * @throws RangeError when no token counts; DatasetError when the rows do not hold.
 */
export async function evaluateLoss(model: Model, source: RowSource, options: LossOptions = {}): Promise<Loss> {
  const { template = "alpaca", trainPrompt = false, batchSize = 4, signal } = options;
  const { maxTokens = Math.min(512, model.contextTokens) } = options;
  const encoded: Encoded[] = [];
  const rows = readRows(source instanceof Promise ? await source : source);
  const reading = { template, maxTokens, trainPrompt, form: model.form, signal };
  for await (const row of encodeRows(rows, model.tokenizer, reading)) encoded.push(row);

  // Every batch as long as the longest row: one Program, one plan.
  const longest = encoded.reduce((most, row) => Math.max(most, lengthOf(row)), 1);
  const whole = { batchSize, pad: model.tokenizer.pad, multipleOf: longest };
  const planned = await lossProgram(model, { batch: batchSize, seq: longest }, { io }, { gradients: false });
  const { arenas, free } = allocateArenas(model.device, planned.program.arenaBytes, ["activations", "workspace", "io"]);
  let executable: Executable | undefined;
  try {
    const trained = model.trained ? { trained: model.trained.arena } : {};
    executable = await model.device.compile(planned.program, { ...arenas, weights: model.weights.arena, ...trained });
    const { offset } = planned.find("totals");
    let [sum, tokens] = [0, 0];
    for (const batch of batches(encoded, whole)) {
      await writeBatch(arenas.io, planned, batch);
      await arenas.io.write(offset, new Uint8Array(8));
      await executable.run(neutralUniforms, signal ? { signal } : {});
      const totals = new Float32Array((await arenas.io.read(offset, 8)).slice().buffer);
      sum += totals[0] as number;
      tokens += totals[1] as number;
    }
    if (tokens === 0) {
      throw new RangeError(
        `evaluateLoss: no token of the ${encoded.length} rows counts; raise maxTokens or set trainPrompt`,
      );
    }
    return { loss: sum / tokens, perplexity: Math.exp(sum / tokens), tokens, rows: encoded.length };
  } finally {
    executable?.dispose();
    free();
  }
}
