// Command-line flags made from a table of options, so that an option is declared once. Tables: train/options.ts, generate/options.ts.

import { InvalidArgumentError, Option } from "commander";
import { parseBytes as bytesIn } from "../widgets/format.js";

/** What a flag needs of an entry of an options table. */
export interface FlagSpec {
  readonly default: unknown;
  readonly help: string;
  readonly rule: { readonly text: string; holds(value: unknown): boolean };
}

/** learningRate -> learning-rate */
export function flagName(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * One flag per entry. What stands on the command line is read as the entry's rule wants it: a number, true or false, a text, or for
 * lists one more text each time the flag is given. A flag that is absent leaves no value: the function it is for has the defaults.
 */
export function flagsOf(table: Readonly<Record<string, FlagSpec>>): Option[] {
  return Object.entries(table).map(([name, spec]) => {
    const list = spec.rule.holds(["text"]);
    const yesNo = spec.rule.holds(true);
    const value = yesNo
      ? " [yes|no]"
      : list
        ? " <text>"
        : typeof spec.default === "number" || spec.rule.holds(1)
          ? " <number>"
          : " <value>";
    const hasDefault = spec.default !== undefined && !(list && (spec.default as unknown[]).length === 0);
    const help = hasDefault ? `${spec.help} [${String(spec.default)}]` : spec.help;
    const option = new Option(`--${flagName(name)}${value}`, list ? `${help} May be given again.` : help);
    option.argParser((text: string, before: unknown) => {
      const read = readValue(text, spec);
      if (!spec.rule.holds(read))
        throw new InvalidArgumentError(`expected ${spec.rule.text}, got ${JSON.stringify(text)}`);
      return list && Array.isArray(before) ? [...before, ...(read as unknown[])] : read;
    });
    return option;
  });
}

/** The first reading of a text that the entry's rule accepts; the text itself when none is. */
function readValue(text: string, { rule }: FlagSpec): unknown {
  const words: Readonly<Record<string, boolean>> = { true: true, yes: true, false: false, no: false };
  const readings: unknown[] = [text.trim() === "" ? Number.NaN : Number(text), words[text.toLowerCase()], [text], text];
  return readings.find((value) => rule.holds(value)) ?? text;
}

/** "24GB" -> 24e9 bytes, see widgets/format.ts. */
export function parseBytes(text: string): number {
  try {
    return bytesIn(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
