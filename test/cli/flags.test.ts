// Flags of the command line come from the options tables and are held to the same rules.

import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { flagName, flagsOf, parseBytes } from "../../src/cli/flags.js";
import { trainOptions } from "../../src/train/options.js";

function parse(...words: string[]): Record<string, unknown> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  for (const flag of flagsOf(trainOptions)) command.addOption(flag);
  command.parse(words, { from: "user" });
  return command.opts();
}

describe("flagsOf", () => {
  test("every option of a run is a flag", () => {
    const command = new Command();
    for (const flag of flagsOf(trainOptions)) command.addOption(flag);
    expect(command.options.map(({ long }) => long)).toEqual(
      Object.keys(trainOptions).map((name) => `--${flagName(name)}`),
    );
    expect(flagName("gradientAccumulationSteps")).toBe("gradient-accumulation-steps");
  });

  test("numbers, texts, choices, yes and no, and lists arrive as the option's type", () => {
    expect(
      parse(
        ...[
          "--learning-rate",
          "1e-4",
          "--max-steps",
          "7",
          "--scheduler",
          "cosine",
          "--overwrite",
          "--train-prompt",
          "no",
        ],
        ...["--output-folder", "12", "--sample-prompts", "one", "--sample-prompts", "2"],
      ),
    ).toEqual({
      learningRate: 1e-4,
      maxSteps: 7,
      scheduler: "cosine",
      overwrite: true,
      trainPrompt: false,
      outputFolder: "12",
      samplePrompts: ["one", "2"],
    });
  });

  test("a flag that is not given leaves no value, so that the function's default holds", () => {
    expect(parse()).toEqual({});
  });

  test.each([
    ["--batch-size", "0", "expected an integer of at least 1"],
    ["--batch-size", "many", "expected an integer of at least 1"],
    ["--learning-rate", "", "expected a number above 0"],
    ["--scheduler", "sawtooth", "expected one of"],
  ])("%s %j is refused: %s", (flag, value, message) => {
    expect(() => parse(flag, value)).toThrow(message);
  });
});

describe("parseBytes", () => {
  test.each([
    ["24GB", 24e9],
    ["24G", 24e9],
    ["1.5GiB", 1.5 * 1024 ** 3],
    ["500 MiB", 500 * 1024 ** 2],
    ["512", 512],
    ["2kb", 2000],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each(["", "GB", "24 parsecs", "-3GB", "1e9GB"])("%j is refused with an example", (text) => {
    expect(() => parseBytes(text)).toThrow("expected bytes such as 24GB or 500MiB");
  });
});
