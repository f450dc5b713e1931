// Reads adapters onto a base: PEFT's folders of every age, and bare files of tensors. Written by save.ts, or by PEFT. Names: names.ts.

import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { Model, TrainedTensor } from "../model/index.js";
import { convert, openTensors, type TensorFile } from "../model/weights/index.js";
import { unfuseB } from "./fused.js";
import { type LoraSite, loraNames, withLora } from "./lora.js";
import { plainNames } from "./names.js";
import { AdapterError, type PeftShape, parsePeftConfig, peftFiles } from "./peft.js";

export interface LoadAdapterOptions {
  /** For a file without adapter_config.json: what the update's scale is alpha / rank of. The rank is in the file. */
  readonly alpha?: number | undefined;
}

/**
 * The base with an adapter, ready to answer or to train on. The base itself is not changed.
 *
 * Read are adapter_model.safetensors and adapter_model.bin, a trainer's pytorch_model.bin beside an adapter_config.json, and any file
 * of tensors with `alpha`.
 *
 * @param at - The folder of an adapter, or one file of tensors.
 * @throws AdapterError when there is no adapter, one of a kind that is not supported, or one that does not fit the base;
 *   CheckpointError when its file of tensors does not hold.
 */
export async function loadAdapter(base: Model, at: string, { alpha }: LoadAdapterOptions = {}): Promise<Model> {
  const { weights, config } = await filesAt(at);
  const stated = config === undefined ? undefined : parsePeftConfig(await readPeftConfig(config), config);
  const file = await openTensors(weights);
  try {
    const shape = stated ?? bareShape(file, alpha);
    const names = plainNames(file);
    const sites = sitesIn(file, names, base, shape);
    const whole = wholeIn(file, names, base, shape);
    const ranks = new Map(sites.map((site) => [loraNames(site.name).b, site]));
    let changes = whole.length > 0;
    const model = await withLora(base, { ...shape, sites, whole }, async ({ name }) => {
      const values = await readValues(file, names.get(name) as string);
      const site = ranks.get(name);
      changes ||= site !== undefined && values.some((value) => value !== 0);
      if (!site || !shape.parts) return values;
      return unfuseB(values, shape.parts, site.outputs, shape.of(site.name).rank);
    });
    if (!changes && !base.device.plansOnly)
      process.emitWarning(`${file.path}: every B is zero, so the model answers as its base`, "AdapterNotice");
    return model;
  } finally {
    await file.close();
  }
}

async function readValues(file: TensorFile, name: string): Promise<Float32Array> {
  const { dtype, data } = await file.tensor(name);
  const bytes = convert(data, dtype, "f32");
  if (!bytes) throw new AdapterError(file.path, `tensor "${name}" is ${dtype}, expected floating-point numbers`);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** The files of an adapter: its tensors, and its config where there is one. */
async function filesAt(at: string): Promise<{ readonly weights: string; readonly config: string | undefined }> {
  const isOne = await isFile(at);
  const folder = isOne ? path.dirname(at) : at;
  const config = path.join(folder, peftFiles.config);
  const hasConfig = await isFile(config);
  if (isOne) return { weights: at, config: hasConfig ? config : undefined };
  for (const name of [peftFiles.weights, peftFiles.pickle, "pytorch_model.bin"]) {
    const weights = path.join(folder, name);
    if (await isFile(weights)) return { weights, config: hasConfig ? config : undefined };
  }
  if (!hasConfig)
    throw new AdapterError(
      config,
      "there is no such file: expected the folder of an adapter, or a file of its tensors",
    );
  return { weights: path.join(folder, peftFiles.weights), config };
}

async function isFile(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isFile();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

async function readPeftConfig(file: string): Promise<Record<string, unknown>> {
  try {
    const fields = JSON.parse(await readFile(file, "utf8")) as unknown;
    if (typeof fields === "object" && fields !== null && !Array.isArray(fields))
      return fields as Record<string, unknown>;
  } catch (cause) {
    const problem = cause instanceof SyntaxError ? "expected JSON" : "cannot be read";
    throw new AdapterError(file, `${problem}: ${(cause as Error).message}`, { cause });
  }
  throw new AdapterError(file, "expected a JSON object");
}

/** What is known of an adapter without a config: ranks are in its tensors, alpha is not. */
function bareShape(file: TensorFile, alpha: number | undefined): PeftShape {
  if (alpha === undefined || !(alpha > 0 && Number.isFinite(alpha))) {
    throw new AdapterError(
      file.path,
      `there is no ${peftFiles.config} beside it, and alpha is not in the tensors: give \`alpha\`, or put the file there`,
    );
  }
  const ranks = new Map([...plainNames(file)].map(([plain, name]) => [plain, file.tensors.get(name)?.shape[0]]));
  return {
    rslora: false,
    dropout: 0,
    whole: [],
    parts: undefined,
    of: (module) => ({ rank: ranks.get(loraNames(module).a) ?? 0, alpha }),
  };
}

/** The linear layers the file has adapters for, each checked against the base. */
function sitesIn(
  file: TensorFile,
  names: ReadonlyMap<string, string>,
  base: Model,
  shape: PeftShape,
): readonly LoraSite[] {
  const enabled = shape.parts?.filter(Boolean).length ?? 1;
  const sites: LoraSite[] = [];
  for (const site of base.linears) {
    const { a, b } = loraNames(site.name);
    if (!names.has(a) && !names.has(b)) continue;
    const { rank, alpha } = shape.of(site.name);
    const parts = shape.parts?.length ?? 1;
    if (site.outputs % parts !== 0)
      throw new AdapterError(
        file.path,
        `"${site.name}" has ${site.outputs} outputs, which are not ${parts} equal parts`,
      );
    const shapes = new Map([
      [a, [enabled * rank, site.inputs]],
      [b, shape.parts ? [(enabled * site.outputs) / parts, rank, 1] : [site.outputs, rank]],
    ]);
    for (const [plain, expected] of shapes) {
      const name = names.get(plain);
      if (name === undefined) throw new AdapterError(file.path, `tensor "${plain}" is missing`);
      checkShape(file, name, expected, `for "${base.name}" and rank ${rank}`);
    }
    sites.push({ ...site, rank: enabled * rank, alpha: enabled * alpha });
  }
  const used = new Set(sites.flatMap(({ name }) => Object.values(loraNames(name))));
  for (const [plain, name] of names) {
    if (used.has(plain) || isSaved(plain, shape)) continue;
    const kind = /\.lora_[AB]\.weight$/.test(plain)
      ? `belongs to no linear layer of "${base.name}"`
      : "is no adapter's, and no layer that `modules_to_save` names";
    throw new AdapterError(file.path, `tensor "${name}" ${kind}`);
  }
  return sites;
}

function checkShape(file: TensorFile, name: string, expected: readonly number[], why: string): void {
  const shape = file.tensors.get(name)?.shape ?? [];
  if (shape.join() === expected.join()) return;
  throw new AdapterError(
    file.path,
    `tensor "${name}" has shape [${shape.join(", ")}], expected [${expected.join(", ")}] ${why}`,
  );
}

/** Whether `modules_to_save` names the module of a tensor, by the end of its name. */
function isSaved(plain: string, { whole }: PeftShape): boolean {
  const module = plain.replace(/\.(weight|bias)$/, "");
  return whole.some((name) => module === name || module.endsWith(`.${name}`));
}

/** Tensors of the base that the file has whole: they take the base's place while the adapter is on. */
function wholeIn(
  file: TensorFile,
  names: ReadonlyMap<string, string>,
  base: Model,
  shape: PeftShape,
): readonly TrainedTensor[] {
  const whole: TrainedTensor[] = [];
  for (const [plain, name] of names) {
    if (!isSaved(plain, shape) || /\.lora_[AB]\.weight$/.test(plain)) continue;
    const spec = base.weights.specs.get(plain);
    if (!spec || spec.values) {
      const tied = plain === "lm_head.weight" ? ", whose head is its embedding" : "";
      throw new AdapterError(file.path, `tensor "${name}" belongs to no layer of "${base.name}"${tied}`);
    }
    if (base.config.tied && plain === "model.embed_tokens.weight")
      throw new AdapterError(
        file.path,
        `tensor "${name}" would change the head of "${base.name}" too, which PEFT leaves as it was: not supported`,
      );
    checkShape(file, name, spec.shape, `for "${base.name}"${vocabularyHint(plain)}`);
    whole.push({ name: plain, shape: spec.shape, decay: spec.shape.length > 1 });
  }
  for (const name of shape.whole) {
    if (whole.some((tensor) => isSaved(tensor.name, { ...shape, whole: [name] }))) continue;
    throw new AdapterError(file.path, `\`modules_to_save\` names "${name}", which the file does not hold`);
  }
  return whole;
}

function vocabularyHint(plain: string): string {
  return /embed_tokens|lm_head/.test(plain)
    ? ": the adapter was trained with another vocabulary; take the base and the tokenizer it was trained on"
    : "";
}
