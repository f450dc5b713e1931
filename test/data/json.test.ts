import { describe, expect, test } from "vitest";
import { arrayElements, findJsonError, JsonError, parseJson } from "../../src/data/json.js";
import { bitsAt } from "../../src/engine/random.js";

function errorOf(text: string): JsonError {
  try {
    parseJson(text);
  } catch (error) {
    expect(error).toBeInstanceOf(JsonError);
    return error as JsonError;
  }
  throw new Error(`parsed: ${text}`);
}

describe("text that is not JSON", () => {
  test.each([
    ["", 1, 1, "expected a value, but the text ends here"],
    ["{", 1, 2, 'expected a key in double quotes or "}", but the text ends here'],
    ["[1, 2", 1, 6, 'expected "," or "]", but the text ends here'],
    ["[1,]", 1, 4, 'expected a value; the comma before "]" is one too many'],
    ['{"a": 1,\n}', 2, 1, 'expected a key in double quotes; the comma before "}" is one too many'],
    ["{'a': 1}", 1, 2, 'expected a key in double quotes or "}"'],
    ['{"a" 1}', 1, 6, 'expected ":" after the key'],
    ["[1 2]", 1, 4, 'expected "," or "]"'],
    ["[1}", 1, 3, 'expected "," or "]"'],
    ["[]\n\n]", 3, 1, "expected the end of the file"],
    ["[\n  nul\n]", 2, 3, "expected a value"],
    ["[01]", 1, 3, 'expected "," or "]"'],
    ['["a\nb"]', 1, 4, "a string has a raw line break or control character in it: is its closing quote missing?"],
    ['["a\\x"]', 1, 4, "a string has a backslash that escapes nothing: write it as \\\\"],
    ['[\n "abc', 2, 2, "a string opens here and is never closed"],
  ])("%j fails at line %i, column %i", (text, line, column, problem) => {
    expect(errorOf(text)).toMatchObject({
      line,
      column,
      problem,
      message: `line ${line}, column ${column}: ${problem}`,
    });
  });

  test("nested deeper than any stack is still located", () => {
    expect(errorOf("[".repeat(500_000)).column).toBe(500_001);
  });

  test("is exactly what JSON.parse refuses, over 20,000 damaged texts", () => {
    const good = '[{"a": [1, -2.5e+3, true, null], "b\\n\\u00e9": {"c": "x\\\\"}}, [], {}, "", 0]';
    const alphabet = '[]{}",:\\ \n0-.eu1tfn';
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const at = bitsAt(round, 0) % good.length;
      const insert = alphabet[bitsAt(round, 1) % alphabet.length] as string;
      const cut = bitsAt(round, 2) % 3;
      const text = good.slice(0, at) + insert + good.slice(at + cut);
      let parses = true;
      try {
        JSON.parse(text);
      } catch {
        parses = false;
        refused += 1;
      }
      if ((findJsonError(text) === undefined) !== parses) expect.fail(`disagrees on ${text}`);
    }
    expect(refused).toBeGreaterThan(5_000);
    expect(refused).toBeLessThan(19_900);
  });
});

describe("elements of an array", () => {
  test("are what JSON.parse finds, with their lines", () => {
    const text = '\n[ {"a": "],[\\"", "b": [1, {"c": 2}]},\n  3,"x\\\\" ,\n\n[[]]\n]\n';
    const found = [...arrayElements(text)];
    expect(found.map(({ start, end }) => JSON.parse(text.slice(start, end)) as unknown)).toEqual(JSON.parse(text));
    expect(found.map(({ line }) => line)).toEqual([2, 3, 3, 5]);
  });

  test("of an empty array are none", () => {
    expect([...arrayElements(" [ \n] ")]).toEqual([]);
  });

  test.each(["[1,]", "[,1]", "[1,,2]", "[1] 2", "[1", "{}", '["a', "[1}]", "[1]]"])("of %j are refused", (text) => {
    expect(() => [...arrayElements(text)]).toThrow(JsonError);
  });
});
