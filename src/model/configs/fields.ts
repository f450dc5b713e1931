// Fields of a config.json by their names in the file, each checked where it is read. Used by the configs of the families beside this file.

import { CheckpointError } from "../weights/error.js";

export type Fields = Readonly<Record<string, unknown>>;
export type Reader = ReturnType<typeof reader>;

/** Fields by their name in the file, each checked where it is read. A missing field and null are the same, as in transformers. */
export function reader(fields: Fields, file: string) {
  const refuse = (name: string, expected: string, value: unknown = fields[name]) => {
    const got = value === undefined ? "it is missing" : `got ${JSON.stringify(value)}`;
    return new CheckpointError(file, `expected \`${name}\` to be ${expected}, ${got}`);
  };
  return {
    fields,
    refuse,
    count(name: string, fallback?: number): number {
      const value = fields[name] ?? fallback;
      if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
      throw refuse(name, "a whole number from 1");
    },
    positive(name: string, fallback: number): number {
      const value = fields[name] ?? fallback;
      if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
      throw refuse(name, "a number above 0");
    },
    flag(name: string, fallback: boolean): boolean {
      const value = fields[name] ?? fallback;
      if (typeof value === "boolean") return value;
      throw refuse(name, "true or false");
    },
    word(name: string): string | undefined {
      const value = fields[name] ?? undefined;
      if (value === undefined || typeof value === "string") return value;
      throw refuse(name, "a string");
    },
    ids(name: string): readonly number[] {
      const value = fields[name] ?? [];
      const list: unknown[] = Array.isArray(value) ? value : [value];
      if (list.every((id) => Number.isSafeInteger(id) && (id as number) >= -1))
        return (list as number[]).filter((id) => id >= 0);
      throw refuse(name, "a token id, or a list of them");
    },
    oneOf<Word extends string>(name: string, words: readonly Word[], fallback: Word | undefined): Word {
      const value = fields[name] ?? fallback;
      if (words.includes(value as Word)) return value as Word;
      throw refuse(
        name,
        words.length === 1 ? `"${words[0]}" (others are not supported)` : `one of ${words.join(", ")}`,
      );
    },
    /** Refuse a value that changes the arithmetic into one that is not built. */
    only(name: string, supported: readonly unknown[], what: string): void {
      if (!supported.includes(fields[name] ?? undefined)) throw refuse(name, what);
    },
  };
}
