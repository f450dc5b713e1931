// Row -> ids, and which of them teach. Next to read: batch.ts, many rows as one block.

import type { Row } from "../data/row.js";
import { type Context, causal, type Form, promptIn } from "./form.js";
import type { Tokenizer } from "./tokenizer.js";

/** The text around a task. `{instruction}` and `{input}` stand for the row's; the answer follows the prompt directly. */
export interface Template {
  readonly prompt: string;
  /** For rows with an input. @default `prompt`, with the input on a new line after the instruction */
  readonly promptWithInput?: string;
}

const withInput = "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n";
const withoutInput = "### Instruction:\n{instruction}\n\n### Response:\n";

export const templates = {
  /** Stanford Alpaca's words, as alpaca-lora has them. @see https://github.com/tatsu-lab/stanford_alpaca */
  alpaca: {
    prompt: `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n${withoutInput}`,
    promptWithInput:
      "Below is an instruction that describes a task, paired with an input that provides further context. " +
      `Write a response that appropriately completes the request.\n\n${withInput}`,
  },
  /** Alpaca's headings alone. */
  alpaca_short: { prompt: withoutInput, promptWithInput: withInput },
  /** The instruction and nothing else. */
  none: { prompt: "{instruction}" },
} as const satisfies Readonly<Record<string, Template>>;

export type TemplateName = keyof typeof templates;

export interface TemplateOptions {
  /** @default "alpaca" */
  readonly template?: TemplateName | Template;
  /** Longest row in tokens. Longer ones keep their start. @default 512 */
  readonly maxTokens?: number;
  /** Train on the prompt's tokens too. @default false */
  readonly trainPrompt?: boolean;
  /** Position of the row in the data, kept in the result. @default 0 */
  readonly index?: number;
  /** How the model lays out prompt and answer: `model.form`. @default causal */
  readonly form?: Form;
}

/** A row as ids. */
export interface Encoded {
  readonly ids: readonly number[];
  /** For each id, whether predicting it is trained. The first id is never predicted. */
  readonly trained: readonly boolean[];
  /** GLM: what of the ids is context. */
  readonly context?: Context;
  /** T5: what the encoder reads; `ids` are the decoder's then. */
  readonly source?: readonly number[];
  /** Position of the row in the data, from 0. */
  readonly row: number;
  /** The row was too long: its end, end token included, is missing, and perhaps nothing trained is left. */
  readonly truncated?: true;
}

/**
 * The text a task is asked with; training and generation use the same.
 *
 * @throws RangeError when there is no such template, or it has no place for the instruction.
 */
export function renderPrompt(
  template: TemplateName | Template,
  { instruction, input = "" }: { readonly instruction: string; readonly input?: string | undefined },
): string {
  const { prompt, promptWithInput } = templateOf(template);
  const [text, task] =
    input === ""
      ? [prompt, instruction]
      : promptWithInput === undefined
        ? [prompt, `${instruction}\n${input}`]
        : [promptWithInput, instruction];
  // One pass, so that braces in the row's own text stay as they are.
  return text.replace(/\{(instruction|input)\}/g, (_, name) => (name === "instruction" ? task : input));
}

function templateOf(template: TemplateName | Template): Template {
  if (typeof template === "string") {
    if (Object.hasOwn(templates, template)) return templates[template];
    throw new RangeError(
      `expected \`template\` to be one of ${Object.keys(templates).join(", ")}, or { prompt, promptWithInput }, got "${template}"`,
    );
  }
  const { prompt, promptWithInput = "{instruction}" } = template;
  for (const text of [prompt, promptWithInput]) {
    if (text.includes("{instruction}")) continue;
    throw new RangeError(`expected the template to have a place for {instruction}, got ${JSON.stringify(text)}`);
  }
  return template;
}

/**
 * A row as ids, with the tokens that teach marked: those of the answer and the end token (all of them with `trainPrompt`,
 * and for plain text). The begin token comes first where the tokenizer has one.
 *
 * The prompt is encoded alone and the answer as its continuation, without a space put before it. So the prompt's ids are
 * exactly those that generation feeds, whatever the answer begins with; and they are the ids of the whole text, unless a
 * token would span the border between prompt and answer, which generation could never produce.
 *
 * In GLM's form <sop> is trained too, as its authors do, and in GLM's and T5's the answer is a text of its own. Their prompts are never
 * trained: they see themselves in both directions, so there is nothing to predict. T5's prompt is cut at `maxTokens` by itself and keeps
 * its end token.
 *
 * @throws RangeError when an option makes no sense.
 */
export function applyTemplate(row: Row, tokenizer: Tokenizer, options: TemplateOptions = {}): Encoded {
  const { template = "alpaca", maxTokens = 512, trainPrompt = false, index = 0, form = causal } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 2) {
    throw new RangeError(`expected \`maxTokens\` to be an integer from 2, got ${maxTokens}`);
  }
  const prompt = row.kind === "text" ? "" : renderPrompt(template, row);
  const answer = row.kind === "text" ? row.text : row.output;
  const cut = (before: readonly number[], after: readonly number[], trainedFrom: number): Encoded => {
    const ids = [...before, ...after];
    const encoded: Encoded = {
      ids: ids.slice(0, maxTokens),
      trained: ids.slice(0, maxTokens).map((_, i) => i >= trainedFrom),
      row: index,
    };
    return ids.length > maxTokens ? { ...encoded, truncated: true } : encoded;
  };
  const asked = promptIn(form, tokenizer, prompt);
  const all = row.kind === "text" || trainPrompt;
  switch (form.kind) {
    case "causal": {
      const after = tokenizer.encode(answer, { continuation: prompt !== "", eos: true });
      return cut(asked, after, all ? 0 : asked.length);
    }
    case "prefix": {
      const length = asked.length - 1; // <sop>'s place, which is trained: [gMASK] predicts it
      const encoded = cut(asked, [...tokenizer.encode(answer), form.eop], length);
      return { ...encoded, context: { length, blank: length - 1 } };
    }
    case "seq2seq": {
      const encoded = cut([form.start], tokenizer.encode(answer, { eos: true }), 1);
      const source = asked.length > maxTokens ? [...asked.slice(0, maxTokens - 1), ...asked.slice(-1)] : asked;
      return { ...encoded, source, ...(source.length < asked.length && { truncated: true }) };
    }
    default:
      return form satisfies never;
  }
}

/** Longest time to go on without letting the event loop turn. */
const TURN_MS = 4;

/**
 * `applyTemplate` for each row as it comes, numbered from 0. Lets the event loop turn every few milliseconds.
 *
 * @throws whatever `rows` throws; the signal's reason when it was aborted.
 */
export async function* encodeRows(
  rows: Iterable<Row> | AsyncIterable<Row>,
  tokenizer: Tokenizer,
  { signal, ...options }: Omit<TemplateOptions, "index"> & { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Encoded> {
  let index = 0;
  let turned = performance.now();
  for await (const row of rows) {
    if (performance.now() - turned > TURN_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      turned = performance.now();
    }
    signal?.throwIfAborted();
    yield applyTemplate(row, tokenizer, { ...options, index });
    index += 1;
  }
}
