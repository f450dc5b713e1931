// The chat template of a model folder, in Jinja: turns of a talk -> the text the model was trained on. Next to read: template.ts, for single tasks.

import path from "node:path";
import { Template as Jinja } from "@huggingface/jinja";
import { decodeUtf8 } from "../data/file.js";
import { TokenizerError } from "./error.js";
import { readBytes, readTokenizerSettings } from "./special.js";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface ChatOptions {
  /** End with the words that the assistant's turn begins with, for generation. @default true */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Other names the template knows, such as `tools`. @default none */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * The text of a talk, special tokens written out: encode it with `{ special: true }` and without a begin mark, which templates write themselves.
 * A special token that a message spells out is then one too, as in transformers: take it out of texts that are not trusted.
 *
 * @throws TokenizerError when the template refuses the messages, in its own words.
 */
export type ChatTemplate = (messages: readonly ChatMessage[], options?: ChatOptions) => string;

/**
 * The chat template of a folder: chat_template.jinja, else `chat_template` of tokenizer_config.json, the one named "default" where there are several.
 *
 * @returns undefined when the folder has none.
 * @throws TokenizerError when it is no Jinja template.
 */
export async function loadChatTemplate(folder: string): Promise<ChatTemplate | undefined> {
  const { config, names } = await readTokenizerSettings(folder);
  const alone = path.join(folder, "chat_template.jinja");
  const bytes = await readBytes(alone);
  const file = bytes ? alone : path.join(folder, "tokenizer_config.json");
  const source = bytes ? decodeUtf8(bytes) : chosen(config["chat_template"]);
  if (source === undefined) return undefined;
  const template = refusing(file, "its chat template cannot be read", () => new Jinja(source));
  const marks = Object.fromEntries(Object.entries(names).map(([role, { text }]) => [`${role}_token`, text]));
  return (messages, { addGenerationPrompt = true, variables = {} } = {}) =>
    refusing(file, "its chat template refuses these messages", () =>
      template.render({ ...marks, ...variables, messages, add_generation_prompt: addGenerationPrompt }),
    );
}

function chosen(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as readonly { readonly name?: unknown; readonly template?: unknown }[];
  const found = named.find(({ name }) => name === "default") ?? named[0];
  return typeof found?.template === "string" ? found.template : undefined;
}

function refusing<T>(file: string, problem: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new TokenizerError(file, `${problem}: ${(cause as Error).message}`, { cause });
  }
}
