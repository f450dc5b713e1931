// Which ids begin, end and fill a text: gathered from the files of a model folder. Next to read: load.ts.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { decodeUtf8, lfsPointerIn } from "../data/file.js";
import { JsonError, parseJson } from "../data/json.js";
import { TokenizerError } from "./error.js";

export interface SpecialIds {
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number;
}

const roles = ["bos", "eos", "pad", "unk"] as const;
export type Role = (typeof roles)[number];

/** What a model folder says about its tokenizer besides the vocabulary. Each file may be absent. */
export interface TokenizerSettings {
  /** tokenizer_config.json */
  readonly config: Readonly<Record<string, unknown>>;
  /** Text of each special token, from tokenizer_config.json, else from special_tokens_map.json. */
  readonly names: Readonly<Partial<Record<Role, { readonly text: string; readonly file: string }>>>;
  /** Ids from config.json. */
  readonly ids: Readonly<Partial<Record<Role, number>>>;
}

export async function readTokenizerSettings(folder: string): Promise<TokenizerSettings> {
  const read = async (name: string) => ({
    file: path.join(folder, name),
    fields: await readJsonObject(path.join(folder, name)),
  });
  const [config, map, model] = await Promise.all(
    ["tokenizer_config.json", "special_tokens_map.json", "config.json"].map(read),
  );
  const names: Partial<Record<Role, { text: string; file: string }>> = {};
  const ids: Partial<Record<Role, number>> = {};
  for (const role of roles) {
    for (const { file, fields } of [map, config] as { file: string; fields: Record<string, unknown> | undefined }[]) {
      const value = fields?.[`${role}_token`];
      const text = typeof value === "object" && value !== null && "content" in value ? value.content : value;
      if (typeof text === "string" && text !== "") names[role] = { text, file };
    }
    const value = model?.fields?.[`${role}_token_id`];
    const id = Array.isArray(value) ? (value[0] as unknown) : value;
    if (Number.isSafeInteger(id) && (id as number) >= 0) ids[role] = id as number;
  }
  return { config: config?.fields ?? {}, names, ids };
}

/**
 * Ids of the special tokens: by name from the tokenizer's files, else as the vocabulary file itself has them (`own`), else by
 * id from config.json, which is the file that is most often wrong. Padding falls back to the unknown token, then the end token.
 *
 * @param idOf - Id of a token by its text.
 * @throws TokenizerError when bos or eos is named but not in the vocabulary.
 */
export function resolveSpecial(
  { config, names, ids }: TokenizerSettings,
  vocab: number,
  idOf: (text: string) => number | undefined,
  own: Readonly<Partial<Record<Role, number | undefined>>> = {},
): SpecialIds {
  const find = (role: Role): number | undefined => {
    const name = names[role];
    const named = name && idOf(name.text);
    if (named !== undefined) return named;
    if (name && (role === "bos" || role === "eos")) {
      throw new TokenizerError(name.file, `\`${role}_token\` is "${name.text}", which is not in the vocabulary`);
    }
    const id = own[role] ?? ids[role];
    return id !== undefined && id >= 0 && id < vocab ? id : undefined;
  };
  const eos = find("eos");
  return {
    bos: config.add_bos_token === false ? undefined : find("bos"),
    eos,
    pad: find("pad") ?? find("unk") ?? eos ?? 0,
  };
}

/** A JSON object from a file, or undefined when there is no such file. @throws TokenizerError */
export async function readJsonObject(file: string): Promise<Record<string, unknown> | undefined> {
  const bytes = await readBytes(file);
  if (bytes === undefined) return undefined;
  let root: unknown;
  try {
    root = parseJson(decodeUtf8(bytes));
  } catch (cause) {
    if (cause instanceof JsonError)
      throw new TokenizerError(`${file}:${cause.line}:${cause.column}`, cause.problem, { cause });
    if (cause instanceof RangeError) throw new TokenizerError(file, cause.message, { cause });
    throw cause;
  }
  if (typeof root === "object" && root !== null && !Array.isArray(root)) return root as Record<string, unknown>;
  throw new TokenizerError(file, "expected a JSON object");
}

/** A file's bytes, or undefined when there is no such file. @throws TokenizerError when it is a Git LFS pointer. */
export async function readBytes(file: string): Promise<Uint8Array | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TokenizerError(file, `cannot be read: ${(cause as Error).message}`, { cause });
  }
  const pointer = lfsPointerIn(bytes, path.dirname(file), "tokenizer");
  if (pointer) throw new TokenizerError(file, pointer);
  return bytes;
}
