// An object from a file -> a Row: which of its fields mean what.

import type { Row } from "./row.js";

/** Names of an object's fields, where they are not ones that are known. */
export interface Columns {
  readonly prompt: string;
  /** What the prompt is about, where there is such a field. */
  readonly input?: string;
  readonly response: string;
}

/** Pairs that datasets use and that are close enough to guess, but not to take without being told. */
const likelyPairs: readonly (readonly [string, string])[] = [
  ["content", "summary"],
  ["query", "answer"],
  ["question", "answer"],
  ["question", "std_answer"],
  ["input", "output"],
  ["source", "target"],
];

/**
 * The row an object is: `columns` when given, else instruction/input/output, prompt/response or text.
 * A missing or null input is no input. Other fields are ignored, except a history of earlier turns, which would be lost.
 *
 * @returns A sentence saying what is wrong with it, when it is no row.
 */
export function rowOf(value: unknown, columns?: Columns): Row | string {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return `expected an object, got ${kindOf(value)}`;
  const fields = value as Readonly<Record<string, unknown>>;
  const { history } = fields;
  if (Array.isArray(history) && history.length > 0) {
    return `it has a \`history\` of ${history.length} earlier turns, which would be lost: rows of several turns are not supported`;
  }
  if (columns) return taskOf(fields, columns.prompt, columns.input, columns.response);
  if ("instruction" in fields && "output" in fields) return taskOf(fields, "instruction", "input", "output");
  if ("prompt" in fields && "response" in fields) return taskOf(fields, "prompt", undefined, "response");
  if ("text" in fields)
    return typeof fields.text === "string" ? { kind: "text", text: fields.text } : wrongText(fields, "text");
  return unknownFields(fields);
}

function taskOf(
  fields: Readonly<Record<string, unknown>>,
  prompt: string,
  input: string | undefined,
  response: string,
): Row | string {
  for (const name of [prompt, response]) {
    if (typeof fields[name] !== "string") return wrongText(fields, name);
  }
  const task = {
    kind: "instruction",
    instruction: fields[prompt] as string,
    output: fields[response] as string,
  } as const;
  const about = input === undefined ? "" : (fields[input] ?? "");
  if (typeof about !== "string") return wrongText(fields, input as string);
  return about === "" ? task : { ...task, input: about };
}

function wrongText(fields: Readonly<Record<string, unknown>>, name: string): string {
  if (!(name in fields)) return `expected a field \`${name}\`, it has ${namesOf(fields)}`;
  return `expected \`${name}\` to be text, got ${kindOf(fields[name])}`;
}

function unknownFields(fields: Readonly<Record<string, unknown>>): string {
  const expected = "expected `instruction` and `output` (`input` may join them), `prompt` and `response`, or `text`";
  const has = `it has ${namesOf(fields)}`;
  const turns = ["conversations", "messages", "chat"].find((name) => Array.isArray(fields[name]));
  if (turns) return `${expected}; ${has}. Rows of several turns (\`${turns}\`) are not supported`;
  const [prompt, response] = likelyPairs.find((pair) => pair.every((name) => name in fields)) ?? ["...", "..."];
  return `${expected}; ${has}. Name its fields with columns: { prompt: "${prompt}", response: "${response}" }`;
}

function namesOf(fields: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(fields);
  return names.length === 0 ? "no fields" : names.slice(0, 8).join(", ") + (names.length > 8 ? ", ..." : "");
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" ? "an object" : `${typeof value} ${JSON.stringify(value)}`;
}
