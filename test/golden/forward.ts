// Whole rows through a model without cache, dropout or training loop: logits, loss and gradients, to compare with what Python computed.

import { type Arena, type Category, IGNORED, neutralUniforms } from "../../src/engine/index.js";
import { differentiate, gradientName, headLoss, layOut, linear, planProgram, Trace } from "../../src/graph/index.js";
import { type Model, rowInputs } from "../../src/model/index.js";
import { type Batch, batches, type Context } from "../../src/tokens/index.js";
import { writeBatch } from "../../src/train/programs.js";

export interface LabelledRow {
  readonly ids: readonly number[];
  /** What each position must predict, or -100. @default nothing */
  readonly labels?: readonly number[];
  /** GLM: what of the ids is context. */
  readonly context?: Context;
  /** T5: what the encoder reads. */
  readonly source?: readonly number[];
}

export interface Forward {
  /** Scores of each row's tokens, row-major [length, vocab], padding left out. */
  readonly logits: readonly Float32Array[];
  /** Mean nats per label; NaN when there is none. */
  readonly loss: number;
  /** Of the mean loss, by name of the trained tensor; empty for a bare base. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** Rows side by side in one batch, padded on the right. */
export async function forward(model: Model, rows: readonly LabelledRow[]): Promise<Forward> {
  const { device, config, trained } = model;
  const encoded = rows.map((row, at) => ({ ...row, trained: row.ids.map(() => false), row: at }));
  const [block] = [...batches(encoded, { batchSize: rows.length, pad: 0, multipleOf: 1 })] as [Batch];
  const { batch, seq } = block;
  const count = batch * seq;
  const trace = new Trace({ activations: model.dtype });
  const input = (name: string, ...shape: number[]) => trace.input(name, "i32", shape);
  const hidden = model.hidden(trace, rowInputs(trace, model.form, block));
  const { totals } = headLoss(hidden, model.head(trace), input("labels", count));
  trace.output("totals", totals);
  trace.output("logits", linear(hidden, model.head(trace), { dtype: "f32" }));
  if (trained) differentiate(trace, totals);
  const gradients = layOut(
    "gradients",
    (trained?.list ?? []).map(({ name, shape }) => ({ name: gradientName(name), dtype: "f32", shape })),
  );
  const placements = new Map([...model.placements, ...gradients.placements]);
  const { program, find } = planProgram(trace, { name: "forward", device, placements });
  const own = (["gradients", "activations", "workspace", "io"] as const).map((category) =>
    device.allocate(category, program.arenaBytes[category]),
  );
  const arenas: Partial<Record<Category, Arena>> = Object.fromEntries(own.map((arena) => [arena.category, arena]));
  arenas.weights = model.weights.arena;
  if (trained) arenas.trained = trained.arena;
  const io = arenas.io as Arena;
  const executable = await device.compile(program, arenas);
  const labelled = rows.flatMap(({ labels: wanted = [] }) =>
    Array.from({ length: seq }, (_, t) => wanted[t] ?? IGNORED),
  );
  await writeBatch(io, { program, find }, { ...block, labels: Int32Array.from(labelled) });
  await executable.run(neutralUniforms);

  const read = async (arena: Arena, offset: number, length: number) =>
    new Float32Array((await arena.read(offset, length * 4)).slice().buffer);
  const [sum, labels] = await read(io, find("totals").offset, 2);
  const scores = await read(io, find("logits").offset, count * config.vocab);
  const result = new Map<string, Float32Array>();
  for (const { name, shape } of trained?.list ?? []) {
    const length = shape.reduce((product, size) => product * size, 1);
    const values = await read(arenas.gradients as Arena, find(gradientName(name)).offset, length);
    result.set(
      name,
      values.map((value) => value / (labels as number)),
    );
  }
  executable.dispose();
  for (const arena of own) arena.free();
  const logits = rows.map(({ ids }, row) =>
    scores.slice(row * seq * config.vocab, (row * seq + ids.length) * config.vocab),
  );
  return { logits, loss: (sum as number) / (labels as number), gradients: result };
}
