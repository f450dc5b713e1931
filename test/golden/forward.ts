// Whole rows through a model without cache, dropout or training loop: logits, loss and gradients, to compare with what Python computed.

import { type Arena, type Category, IGNORED, neutralUniforms } from "../../src/engine/index.js";
import { differentiate, gradientName, headLoss, layOut, linear, planProgram, Trace } from "../../src/graph/index.js";
import type { Model } from "../../src/model/index.js";

export interface LabelledRow {
  readonly ids: readonly number[];
  /** What each position must predict, or -100. @default nothing */
  readonly labels?: readonly number[];
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
  const [batch, seq] = [rows.length, Math.max(...rows.map(({ ids }) => ids.length))];
  const count = batch * seq;
  const trace = new Trace({ activations: model.dtype });
  const input = (name: string, ...shape: number[]) => trace.input(name, "i32", shape);
  const hidden = model.hidden(trace, {
    batch,
    ids: input("ids", count),
    positions: input("positions", count),
    ranges: input("ranges", count, 2),
  });
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
  const put = (name: string, value: (row: LabelledRow, at: number) => number, per = 1) =>
    io.write(
      find(name).offset,
      new Uint8Array(
        Int32Array.from({ length: count * per }, (_, i) => {
          const t = Math.floor(i / per);
          return value(rows[Math.floor(t / seq)] as LabelledRow, per === 1 ? t % seq : (t % seq) * per + (i % per));
        }).buffer,
      ),
    );
  await put("ids", ({ ids }, t) => ids[t] ?? 0);
  await put("positions", ({ ids }, t) => (t < ids.length ? t : 0));
  await put("labels", ({ labels = [] }, t) => labels[t] ?? IGNORED);
  await put("ranges", ({ ids }, i) => (i % 2 === 1 && (i - 1) / 2 < ids.length ? (i - 1) / 2 + 1 : 0), 2);
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
