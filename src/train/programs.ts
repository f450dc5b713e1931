// The Programs of a run: gradients of one batch, its loss alone, and what one update does to all trained tensors. Next to read: step.ts.

import { setImmediate } from "node:timers/promises";
import type { Arena, Device, ShapedOp } from "../engine/device.js";
import { type Buffer, type Category, categories, type Op, type OpName, type Program } from "../engine/index.js";
import { align, bufferBytes } from "../engine/program.js";
import {
  differentiating,
  gradientName,
  headLoss,
  inTurns,
  type Layout,
  layOut,
  type Placement,
  type PlannedProgram,
  planning,
  Trace,
} from "../graph/index.js";
import { type Model, rowInputs, type TrainedTensor } from "../model/index.js";
import type { Batch } from "../tokens/index.js";
import type { ResolvedOptions } from "./options.js";

/** Shape of a batch. A Program is made once for each. */
export interface Bucket {
  readonly batch: number;
  /** Tokens of each row, padding included. */
  readonly seq: number;
}

export const tokensOf = ({ batch, seq }: Bucket): number => batch * seq;

/** The shape with the most tokens. */
export function widest(buckets: readonly Bucket[]): Bucket {
  return buckets.reduce((a, b) => (tokensOf(b) > tokensOf(a) ? b : a));
}

export const bucketKey = ({ batch, seq }: Bucket): string => `${batch}x${seq}`;

/** Places of what outlives a batch, and of the few numbers that several Programs share. */
export interface RunLayout {
  readonly gradients: Layout;
  /** Both moments of every trained tensor: `<tensor>.m` and `<tensor>.v`. */
  readonly optimizer: Layout;
  /** `totals` [2] of the loss, `squares` [1] of all gradients, and `<tensor>.squares` [1] of each. */
  readonly io: Layout;
}

export const momentNames = (tensor: string) => ({ m: `${tensor}.m`, v: `${tensor}.v` });
export const squaresName = (tensor: string) => `${tensor}.squares`;

export function runLayout(trained: readonly TrainedTensor[]): RunLayout {
  const f32 = (name: string, shape: readonly number[]) => ({ name, dtype: "f32" as const, shape });
  return {
    gradients: layOut(
      "gradients",
      trained.map(({ name, shape }) => f32(gradientName(name), shape)),
    ),
    optimizer: layOut(
      "optimizer",
      trained.flatMap(({ name, shape }) => [f32(momentNames(name).m, shape), f32(momentNames(name).v, shape)]),
    ),
    io: layOut("io", [
      f32("totals", [2]),
      f32("squares", [1]),
      ...trained.map(({ name }) => f32(squaresName(name), [1])),
    ]),
  };
}

/**
 * The loss of one batch, added to `totals`; with `gradients`, those of every trained tensor too, added to theirs.
 * Inputs labels [T] i32 and those of rowInputs; output nll [T] f32. Other work gets a turn every few milliseconds.
 *
 * @param options.recompute - Names of the scopes that are computed again on the way back.
 */
export async function lossProgram(
  model: Model,
  bucket: Bucket,
  layout: Pick<RunLayout, "io"> & Partial<RunLayout>,
  { gradients, recompute = new Set() }: { readonly gradients: boolean; readonly recompute?: ReadonlySet<string> },
): Promise<PlannedProgram> {
  const { trace, nll, totals } = traceLoss(model, bucket, { gradients, recompute });
  await setImmediate();
  if (gradients) await inTurns(differentiating(trace, totals));
  trace.output("totals", totals);
  trace.output("nll", nll);
  const placements = new Map([...model.placements, ...(layout.gradients?.placements ?? []), ...layout.io.placements]);
  const name = `${gradients ? "accumulate" : "loss"} ${bucketKey(bucket)}`;
  return inTurns(planning(trace, { name, device: model.device, placements, ioStart: layout.io.bytes }));
}

/** The forward of a batch and its loss. */
export function traceLoss(
  model: Model,
  bucket: Bucket,
  { gradients, recompute }: { readonly gradients: boolean; readonly recompute: ReadonlySet<string> },
) {
  const trace = new Trace({ activations: model.dtype, training: gradients, recompute: (name) => recompute.has(name) });
  const tokens = bucket.batch * bucket.seq;
  const x = model.hidden(trace, rowInputs(trace, model.form, bucket)); // [T, hidden]
  return { trace, ...headLoss(x, model.head(trace), trace.input("labels", "i32", [tokens])) };
}

/** Put a batch where its Program reads it. */
export async function writeBatch(io: Arena, planned: PlannedProgram, batch: Batch): Promise<void> {
  const { tokens, positions, ranges, labels, source } = batch;
  const inputs = {
    ...{ ids: tokens, positions, ranges, labels },
    ...(source && {
      "source.ids": source.tokens,
      "source.positions": source.positions,
      "source.ranges": source.ranges,
      "source.seen": source.seen,
    }),
  };
  for (const [name, values] of Object.entries(inputs)) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    await io.write(planned.find(name).offset, bytes);
  }
}

/** Before an update: gradients and totals to 0. */
export function clearProgram(model: Model, layout: RunLayout): Program {
  const flat = new FlatProgram("clear", model.device);
  for (const place of layout.gradients.placements) flat.add("zero", [], [place]);
  flat.add("zero", [], [["totals", placeIn(layout.io, "totals")]]);
  return flat.finish();
}

/** Global norm of the gradients, then AdamW on every trained tensor. Straight from the table of what trains. */
export function updateProgram(model: Model, layout: RunLayout, options: ResolvedOptions): Program {
  const { trained } = model;
  const flat = new FlatProgram("update", model.device);
  const squares = ["squares", placeIn(layout.io, "squares")] as const;
  flat.add("zero", [], [squares]);
  for (const gradient of layout.gradients.placements) flat.add("sumSquares", [gradient], [squares]);
  for (const { name, decay } of trained?.list ?? []) {
    const gradient = gradientName(name);
    const { m, v } = momentNames(name);
    flat.add(
      "adamw",
      [[gradient, placeIn(layout.gradients, gradient)], squares],
      [
        [name, placeIn(trained, name)],
        [m, placeIn(layout.optimizer, m)],
        [v, placeIn(layout.optimizer, v)],
      ],
      [options.adamBeta1, options.adamBeta2, options.adamEpsilon, decay ? options.weightDecay : 0, 1],
    );
  }
  return flat.finish();
}

/** Sum of squares of each gradient by itself: finds the one that is zero or not finite. */
export function squaresProgram(model: Model, layout: RunLayout): Program {
  const flat = new FlatProgram("squares", model.device);
  for (const { name } of model.trained?.list ?? []) {
    const gradient = gradientName(name);
    const squares = [squaresName(name), placeIn(layout.io, squaresName(name))] as const;
    flat.add("zero", [], [squares]);
    flat.add("sumSquares", [[gradient, placeIn(layout.gradients, gradient)]], [squares]);
  }
  return flat.finish();
}

function placeIn(layout: Pick<Layout, "placements"> | undefined, name: string): Placement {
  const place = layout?.placements.get(name);
  if (!place) throw new RangeError(`"${name}" has no place in the layout of the run`);
  return place;
}

type Placed = readonly [name: string, place: Placement];

/** A Program without values between its ops: every operand has its place already. */
class FlatProgram {
  readonly #buffers: Buffer[] = [];
  readonly #index = new Map<string, number>();
  readonly #ops: Op[] = [];

  constructor(
    readonly name: string,
    readonly device: Pick<Device, "workspaceBytes">,
  ) {}

  add(op: OpName, inputs: readonly Placed[], outputs: readonly Placed[], attrs: readonly number[] = []): void {
    const shaped: ShapedOp = {
      op,
      inputs: inputs.map(([, place]) => place),
      outputs: outputs.map(([, place]) => place),
      attrs,
    };
    this.#ops.push({
      op,
      inputs: inputs.map((placed) => this.#buffer(placed)),
      outputs: outputs.map((placed) => this.#buffer(placed)),
      attrs,
      workspace: { offset: 0, bytes: align(this.device.workspaceBytes(shaped)) },
    });
  }

  finish(): Program {
    const arenaBytes = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
    for (const buffer of this.#buffers) {
      arenaBytes[buffer.arena] = Math.max(arenaBytes[buffer.arena], buffer.offset + align(bufferBytes(buffer)));
    }
    for (const { workspace } of this.#ops) arenaBytes.workspace = Math.max(arenaBytes.workspace, workspace.bytes);
    return { name: this.name, arenaBytes, buffers: this.#buffers, ops: this.#ops };
  }

  #buffer([name, { arena, offset, dtype, shape }]: Placed): number {
    const known = this.#index.get(name);
    if (known !== undefined) return known;
    this.#index.set(name, this.#buffers.length);
    return this.#buffers.push({ name, arena, offset, dtype, shape }) - 1;
  }
}
