// A small trained update of frozen linear layers. Which layers: targets.ts. Its files: save.ts and load.ts.

import { setImmediate } from "node:timers/promises";
import { sizeOf } from "../engine/dtype.js";
import { uniformAt } from "../engine/random.js";
import { dropout as drop, linear } from "../graph/index.js";
import { type LinearHook, type LinearSite, type Model, type TrainedTensor, TrainedTensors } from "../model/index.js";
import { saveLora } from "./save.js";
import { chooseTargets, defaultRank, type Targets } from "./targets.js";

export interface LoraOptions {
  /** Inner size of the update. @default 8 */
  readonly rank?: number | undefined;
  /** The update is multiplied by alpha / rank. @default 16 */
  readonly alpha?: number | undefined;
  /** Part of the adapter's input that is dropped while training. @default 0 */
  readonly dropout?: number | undefined;
  /** Linear layers that get one. @default "all-linear" */
  readonly targets?: Targets | undefined;
  /** The values A starts with follow from it. @default 42 */
  readonly seed?: number | undefined;
}

/** A linear layer with an adapter. */
export interface LoraSite extends LinearSite {
  readonly rank: number;
  readonly alpha: number;
}

/** What a set of adapters is, beside its values. */
export interface LoraShape {
  /** The update is scaled by alpha / sqrt(rank) instead of alpha / rank, as PEFT's "rslora". */
  readonly rslora: boolean;
  readonly dropout: number;
  readonly sites: readonly LoraSite[];
  /** Tensors of the base that train whole beside the adapters, PEFT's `modules_to_save`. @default none */
  readonly whole?: readonly TrainedTensor[];
}

export function scaleOf({ rank, alpha }: LoraSite, { rslora }: Pick<LoraShape, "rslora">): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

/** Names of an adapter's tensors, as in PEFT's files. */
export const loraNames = (site: string) => ({ a: `${site}.lora_A.weight`, b: `${site}.lora_B.weight` });

/**
 * Low-rank updates of a model's linear layers: y = x Wᵀ + (alpha / rank) (x Aᵀ) Bᵀ
 *
 *     A [rank, in]  f32, trained, starts uniform in ±1/sqrt(in)      B [out, rank]  f32, trained, starts at 0
 *
 * so the model answers as its base until the first update. The base is shared, not changed, and stays usable.
 *
 * @throws RangeError when an option does not hold, or the model already trains something.
 * @see Hu et al. 2021, section 4.1, https://arxiv.org/abs/2106.09685; the start of A is PEFT's, Kaiming uniform with a = sqrt(5).
 */
export async function attachLora(
  base: Model,
  { rank = defaultRank, alpha = 16, dropout = 0, targets = "all-linear", seed = 42 }: LoraOptions = {},
): Promise<Model> {
  const sites = chooseTargets(base.linears, targets).map((site) => ({ ...site, rank, alpha }));
  checkRank(rank, sites);
  if (!(Number.isFinite(alpha) && alpha > 0))
    throw new RangeError(`attachLora: expected \`alpha\` to be a number above 0, got ${alpha}`);
  if (!(dropout >= 0 && dropout < 1)) {
    throw new RangeError(`attachLora: expected \`dropout\` to be a number from 0 to below 1, got ${dropout}`);
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new RangeError(`attachLora: expected \`seed\` to be an integer from 0 to 4294967295, got ${seed}`);
  }
  const indexOf = new Map(sites.map(({ name }, i) => [loraNames(name).a, i]));
  return withLora(base, { rslora: false, dropout, sites }, async ({ name, shape }) => {
    const values = new Float32Array(sizeOf(shape));
    const site = indexOf.get(name);
    if (site === undefined) return values;
    const bound = 1 / Math.sqrt(shape[1] as number);
    for (let i = 0; i < values.length; i++) {
      values[i] = (2 * uniformAt(seed, INIT, site, i) - 1) * bound;
      if (i % 65536 === 65535) await setImmediate();
    }
    return values;
  });
}

/** Sets the numbers A starts with apart from other uses of the same seed. */
const INIT = 0x4c6f5241;

function checkRank(rank: number, sites: readonly LinearSite[]): void {
  for (const { name, inputs, outputs } of sites) {
    const most = Math.min(inputs, outputs);
    if (Number.isInteger(rank) && rank >= 1 && rank <= most) continue;
    throw new RangeError(`${name}: expected \`rank\` to be an integer from 1 to ${most}, got ${rank}`);
  }
}

/** The model with adapters of this shape, whose values are asked for tensor by tensor. */
export async function withLora(
  base: Model,
  shape: LoraShape,
  values: (tensor: TrainedTensor) => Promise<Float32Array>,
): Promise<Model> {
  if (base.trained) {
    throw new RangeError(`attachLora: "${base.name}" already has tensors that train; attach to its \`base\` instead`);
  }
  const adapters = shape.sites.flatMap(({ name, inputs, outputs, rank }) => {
    const { a, b } = loraNames(name);
    return [
      { name: a, shape: [rank, inputs], decay: true },
      { name: b, shape: [outputs, rank], decay: true },
    ];
  });
  const list = [...adapters, ...(shape.whole ?? [])];
  const all = base.linears;
  const { folder, quantize } = base;
  const updates = shape.sites.map((site) => ({
    weight: `${site.name}.weight`,
    ...loraNames(site.name),
    scale: scaleOf(site, shape),
  }));
  const trained = await TrainedTensors.create(base.device, list, values, {
    updates,
    save: (tensors, target) => saveLora(tensors, target, { ...shape, all, base: folder, quantize }),
  });
  return base.withTrained(trained, hookOf(shape));
}

function hookOf(shape: LoraShape): LinearHook {
  const { sites, dropout } = shape;
  const streams = new Map(sites.map(({ name }, i) => [name, i]));
  return (trace, { name, inputs, outputs }, x, w, bias) => {
    const stream = streams.get(name);
    if (stream === undefined) return linear(x, w, { bias });
    const site = sites[stream] as LoraSite;
    const { rank } = site;
    const names = loraNames(name);
    const a = trace.parameter(names.a, "f32", [rank, inputs], { trained: true });
    const b = trace.parameter(names.b, "f32", [outputs, rank], { trained: true });
    const input = trace.training ? drop(x, { p: dropout, stream }) : x;
    return linear(x, w, { bias, lora: { a, b, scale: scaleOf(site, shape), input } });
  };
}
