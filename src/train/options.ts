// Every option of a training run: its default, what it means and what it must be, in one table. CLI flags and widget controls are
// made from it. Names follow Hugging Face's TrainingArguments in camelCase. Next to read: run.ts.

import type { Row } from "../data/index.js";
import type { Model } from "../model/index.js";
import { type Template, type TemplateName, templates } from "../tokens/index.js";
import type { Answer, MemoryBytes } from "./events.js";
import { type SchedulerName, schedulerNames } from "./schedule.js";

/** What a value must be, in words for the error, and the test of it. */
interface Rule {
  readonly text: string;
  holds(value: unknown): boolean;
}

export interface OptionSpec<T> {
  readonly default: T;
  readonly rule: Rule;
  readonly help: string;
}

const whole = (least: number): Rule => ({
  text: `an integer of at least ${least}`,
  holds: (value) => Number.isInteger(value) && (value as number) >= least,
});
const number = (text: string, holds: (value: number) => boolean): Rule => ({
  text: `a number ${text}`,
  holds: (value) => typeof value === "number" && Number.isFinite(value) && holds(value),
});
const oneOf = (names: readonly string[]): Rule => ({
  text: `one of ${names.map((name) => `"${name}"`).join(", ")}`,
  holds: (value) => names.includes(value as string),
});
const scale = number(
  "above 0 that f32 can hold",
  (n) => n > 0 && Number.isFinite(Math.fround(n)) && Math.fround(n) > 0,
);
const yesNo: Rule = { text: "true or false", holds: (value) => typeof value === "boolean" };
const text: Rule = { text: "a text that is not empty", holds: (value) => typeof value === "string" && value !== "" };
const texts: Rule = {
  text: "a list of texts",
  holds: (value) => Array.isArray(value) && value.every((item) => typeof item === "string" && item !== ""),
};
const template: Rule = {
  text: `one of ${Object.keys(templates)
    .map((name) => `"${name}"`)
    .join(", ")}, or { prompt, promptWithInput } with a place for {instruction}`,
  holds(value) {
    if (typeof value === "string") return Object.hasOwn(templates, value);
    if (typeof value !== "object" || value === null || !("prompt" in value)) return false;
    const { prompt, promptWithInput = "{instruction}" } = value as { prompt: unknown; promptWithInput?: unknown };
    return [prompt, promptWithInput].every((part) => typeof part === "string" && part.includes("{instruction}"));
  },
};
const optional = (rule: Rule): Rule => ({
  text: rule.text,
  holds: (value) => value === undefined || rule.holds(value),
});

function option<T>(value: T, rule: Rule, help: string): OptionSpec<T> {
  return { default: value, rule, help };
}

export const trainOptions = {
  template: option<TemplateName | Template>("alpaca", template, "Prompt template that turns a row into text."),
  maxTokens: option(512, whole(2), "Longest row in tokens; what is longer is cut at its end."),
  trainPrompt: option(false, yesNo, "Also train on the tokens of the prompt, not only on the answer."),
  epochs: option(
    3,
    number("above 0", (n) => n > 0),
    "Passes over the data. Not used when maxSteps is given.",
  ),
  maxSteps: option<number | undefined>(
    undefined,
    optional(whole(1)),
    "Updates to make, whatever the number of epochs.",
  ),
  batchSize: option(
    4,
    whole(1),
    "Rows in one pass through the model, unless memoryBudget or microBatchSize divide them otherwise.",
  ),
  gradientAccumulationSteps: option(1, whole(1), "Batches gathered into one update."),
  microBatchSize: option<number | undefined>(
    undefined,
    optional(whole(1)),
    "Rows that go through the model at once, of the batchSize x gradientAccumulationSteps rows of an update. Without it batchSize, or what is fastest within memoryBudget.",
  ),
  learningRate: option(
    3e-4,
    number("above 0", (n) => n > 0),
    "Highest learning rate, reached at the end of the warm-up.",
  ),
  scheduler: option<SchedulerName>("linear", oneOf(schedulerNames), "How the learning rate falls after the warm-up."),
  warmupSteps: option(0, whole(0), "Updates over which the learning rate rises from 0."),
  warmupRatio: option(
    0,
    number("from 0 to 1", (n) => n >= 0 && n <= 1),
    "Warm-up as a part of all updates; used when warmupSteps is 0.",
  ),
  weightDecay: option(
    0,
    number("of at least 0", (n) => n >= 0),
    "Decoupled weight decay of matrices; norms and biases have none.",
  ),
  maxGradNorm: option(
    1,
    number("of at least 0", (n) => n >= 0),
    "Gradients are scaled down to this global norm; 0 leaves them.",
  ),
  adamBeta1: option(
    0.9,
    number("from 0 to below 1", (n) => n >= 0 && n < 1),
    "How much of the mean gradient is kept per update.",
  ),
  adamBeta2: option(
    0.999,
    number("from 0 to below 1", (n) => n >= 0 && n < 1),
    "How much of the mean squared gradient is kept per update.",
  ),
  adamEpsilon: option(
    1e-8,
    number("above 0", (n) => n > 0),
    "Added to the root of the mean squared gradient.",
  ),
  lossScaleInit: option(
    2 ** 16,
    scale,
    "In f16: what the loss is multiplied with at first, so that small gradients do not vanish.",
  ),
  lossScaleGrowthFactor: option(
    2,
    number("above 1", (n) => n > 1),
    "In f16: what the loss scale is multiplied with after lossScaleGrowthInterval updates without overflow.",
  ),
  lossScaleBackoffFactor: option(
    0.5,
    number("above 0 and below 1", (n) => n > 0 && n < 1),
    "In f16: what the loss scale is multiplied with when a gradient overflows; the update is then skipped and tried again.",
  ),
  lossScaleGrowthInterval: option(2000, whole(1), "In f16: updates without overflow after which the loss scale grows."),
  lossScaleFloor: option(1, scale, "In f16: a run whose loss scale falls below this is given up."),
  gradientCheckpointing: option(
    false,
    yesNo,
    "Compute each layer again on the way back instead of keeping its values: less memory, more time.",
  ),
  memoryBudget: option<number | undefined>(
    undefined,
    optional(whole(1)),
    "Bytes the run may take in all. How many rows go through the model at once and what is computed again on the way back is chosen to be fastest within it.",
  ),
  seed: option(
    42,
    {
      text: "an integer from 0 to 4294967295",
      holds: (n) => Number.isInteger(n) && (n as number) >= 0 && (n as number) < 2 ** 32,
    },
    "Order of the rows and dropout follow from it alone.",
  ),
  evalSteps: option<number | undefined>(
    undefined,
    optional(whole(1)),
    "Updates between two evaluations; without it one after each epoch.",
  ),
  saveSteps: option(100, whole(1), "Updates between two checkpoints; there is one at the end in any case."),
  saveTotalLimit: option(2, whole(1), "Checkpoints to keep; older ones are removed."),
  samplePrompts: option<readonly string[]>([], texts, "Instructions answered by base and tuned model while training."),
  sampleSteps: option<number | undefined>(
    undefined,
    optional(whole(1)),
    "Updates between two samples; without it one at the end.",
  ),
  sampleTokens: option(64, whole(1), "Longest answer of a sample in tokens."),
  outputFolder: option<string | undefined>(undefined, optional(text), "Where the run writes; runs/<id> without it."),
  overwrite: option(
    false,
    yesNo,
    "Start anew in an output folder that holds another run, whose checkpoints are removed.",
  ),
} as const satisfies Record<string, OptionSpec<unknown>>;

type Table = typeof trainOptions;
type ValueOf<S> = S extends OptionSpec<infer T> ? T : never;

/** All options of the table with their values. Saved beside the adapter as options.json. */
export type ResolvedOptions = { readonly [K in keyof Table]: ValueOf<Table[K]> };

/** A row, or an object whose fields make one: instruction, input and output; prompt and response; text. */
type RowLike = Row | Readonly<Record<string, unknown>>;

/** Rows, or the path of a file of rows. */
export type RowSource = string | Iterable<RowLike> | AsyncIterable<RowLike> | Promise<Iterable<RowLike>>;

/**
 * Answers prompts with the base and with the model as it is trained so far. Handed in, so that train/ need not know how to generate.
 */
export interface Sampler {
  /** Bytes it will allocate for these prompts; allocates nothing. */
  plan(prompts: readonly string[]): Promise<MemoryBytes>;
  /** Allocate them. @throws RangeError when a prompt leaves no room for an answer. */
  open(prompts: readonly string[]): Promise<OpenSampler>;
}

export interface OpenSampler {
  answer(prompts: readonly string[], signal: AbortSignal): Promise<readonly Answer[]>;
  dispose(): void | Promise<void>;
}

export type SamplerFactory = (model: Model, options: Pick<ResolvedOptions, "template" | "sampleTokens">) => Sampler;

export type TrainOptions = { readonly [K in keyof Table]?: ValueOf<Table[K]> | undefined } & {
  readonly data: RowSource;
  /** Rows kept apart to measure the loss on: rows of their own, or a part of the data (above 0, below 1). @default none */
  readonly validation?: RowSource | number | undefined;
  /** Go on from the newest checkpoint: of outputFolder (true), or of the folder of a run or checkpoint named here. @default false */
  readonly resume?: boolean | string | undefined;
  /** Ends the run before the next batch, saving what was learned. */
  readonly signal?: AbortSignal | undefined;
  /** Needed by samplePrompts. @default none */
  readonly sampler?: SamplerFactory | undefined;
};

const apart = ["data", "validation", "resume", "signal", "sampler"];

/**
 * Fill in the defaults (an explicit undefined means default) and check every value.
 *
 * @throws RangeError naming the option, its rule and the value.
 */
export function resolveOptions(given: TrainOptions): ResolvedOptions {
  const resolved: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries<OptionSpec<unknown>>(trainOptions)) {
    const value = (given as Record<string, unknown>)[name] ?? spec.default;
    if (!spec.rule.holds(value))
      throw new RangeError(`train: expected \`${name}\` to be ${spec.rule.text}, got ${shown(value)}`);
    resolved[name] = value;
  }
  for (const name of Object.keys(given)) {
    if (name in trainOptions || apart.includes(name)) continue;
    const known = [...Object.keys(trainOptions), ...apart];
    const camel = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    throw new RangeError(
      known.includes(camel)
        ? `train: there is no option \`${name}\`, it is called \`${camel}\` here`
        : `train: there is no option \`${name}\`; the options are ${known.join(", ")}`,
    );
  }
  const options = resolved as ResolvedOptions;
  checkTogether(given, options);
  return options;
}

/** Rows of one update. */
export function rowsPerUpdate({ batchSize, gradientAccumulationSteps }: ResolvedOptions): number {
  return batchSize * gradientAccumulationSteps;
}

function checkTogether({ data, validation, resume, sampler }: TrainOptions, options: ResolvedOptions): void {
  if (!isRowSource(data)) {
    throw new RangeError(`train: expected \`data\` to be rows or the path of a file, got ${shown(data)}`);
  }
  if (
    typeof validation === "number"
      ? !(validation > 0 && validation < 1)
      : validation !== undefined && !isRowSource(validation)
  ) {
    throw new RangeError(
      `train: expected \`validation\` to be rows, the path of a file or a number above 0 and below 1, got ${shown(validation)}`,
    );
  }
  if (options.lossScaleInit < options.lossScaleFloor) {
    throw new RangeError(
      `train: \`lossScaleInit\` of ${options.lossScaleInit} is below \`lossScaleFloor\`, ${options.lossScaleFloor}`,
    );
  }
  if (options.gradientCheckpointing && options.memoryBudget !== undefined) {
    throw new RangeError(
      "train: `gradientCheckpointing` computes every layer again and `memoryBudget` chooses which; give one of them",
    );
  }
  if (options.microBatchSize !== undefined && options.microBatchSize > rowsPerUpdate(options)) {
    throw new RangeError(
      `train: expected \`microBatchSize\` to be at most ${rowsPerUpdate(options)}, the rows of an update (batchSize x gradientAccumulationSteps), got ${options.microBatchSize}`,
    );
  }
  if (options.evalSteps !== undefined && validation === undefined) {
    throw new RangeError(
      "train: `evalSteps` is given but there is no `validation` to evaluate on; give rows or a part such as 0.1",
    );
  }
  if (options.sampleSteps !== undefined && options.samplePrompts.length === 0) {
    throw new RangeError("train: `sampleSteps` is given but `samplePrompts` is empty");
  }
  if (options.samplePrompts.length > 0 && !sampler) {
    throw new RangeError("train: `samplePrompts` needs a `sampler`; `train` of the package brings one");
  }
  if (resume !== undefined && typeof resume !== "boolean" && !text.holds(resume)) {
    throw new RangeError(`train: expected \`resume\` to be true, false or a folder, got ${shown(resume)}`);
  }
  if (resume === true && options.outputFolder === undefined) {
    throw new RangeError("train: `resume: true` needs `outputFolder`, the folder of the run to go on with");
  }
}

function isRowSource(value: unknown): value is RowSource {
  if (typeof value === "string") return value !== "";
  if (typeof value !== "object" || value === null) return false;
  return Symbol.iterator in value || Symbol.asyncIterator in value || value instanceof Promise;
}

/** A value as it stands in an error. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
