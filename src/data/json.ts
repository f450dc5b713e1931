// JSON with positions: where a text stops being JSON, and where each element of an array lies. Next to read: read.ts.

/** Text that is not JSON, with the place in it. */
export class JsonError extends Error {
  override readonly name = "JsonError";
  constructor(
    /** What was expected there. */
    readonly problem: string,
    /** From 1. */
    readonly line: number,
    /** From 1, in UTF-16 units, as editors count. */
    readonly column: number,
  ) {
    super(`line ${line}, column ${column}: ${problem}`);
  }
}

/**
 * `JSON.parse`, whose error always knows line and column (V8's own message often does not).
 *
 * @throws JsonError
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const found = findJsonError(text);
    if (!found) throw cause;
    throw jsonErrorAt(text, found.offset, found.problem);
  }
}

/** The error for a place in a text. */
export function jsonErrorAt(text: string, offset: number, problem: string): JsonError {
  const { line, column } = positionOf(text, offset);
  return new JsonError(problem, line, column);
}

/** Line and column, both from 1, of an offset. */
export function positionOf(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) {
    line += 1;
    start = at + 1;
  }
  return { line, column: offset - start + 1 };
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const SPACE = /[ \t\r\n]*/y;

/**
 * The first place where a text stops being JSON (RFC 8259), or undefined when it is JSON.
 * Keeps its own stack: nesting as deep as the text is long does not overflow.
 */
export function findJsonError(text: string): { offset: number; problem: string } | undefined {
  const open: ("{" | "[")[] = [];
  let at = spaceEnd(text, 0);
  let expect: "value" | "first value" | "first key" | "key" | "more" = "value";
  for (;;) {
    const char = text[at];
    const inside = open.at(-1);
    const close = inside === "{" ? "}" : "]";
    if (expect === "more") {
      if (inside === undefined)
        return at < text.length ? { offset: at, problem: "expected the end of the file" } : undefined;
      if (char === ",") expect = inside === "{" ? "key" : "value";
      else if (char === close) open.pop();
      else return { offset: at, problem: orEnd(text, at, `expected "," or "${close}"`) };
      at = spaceEnd(text, at + 1);
    } else if (expect === "first key" || expect === "key") {
      if (expect === "first key" && char === "}") {
        open.pop();
        expect = "more";
        at = spaceEnd(text, at + 1);
        continue;
      }
      const wanted = expect === "key" ? "expected a key in double quotes" : 'expected a key in double quotes or "}"';
      if (char !== '"') return { offset: at, problem: orEnd(text, at, wanted) + extraComma(text, at) };
      const end = stringEnd(text, at);
      if (typeof end !== "number") return end;
      at = spaceEnd(text, end);
      if (text[at] !== ":") return { offset: at, problem: orEnd(text, at, 'expected ":" after the key') };
      at = spaceEnd(text, at + 1);
      expect = "value";
    } else if (expect === "first value" && char === "]") {
      open.pop();
      expect = "more";
      at = spaceEnd(text, at + 1);
    } else if (char === "{" || char === "[") {
      open.push(char);
      expect = char === "{" ? "first key" : "first value";
      at = spaceEnd(text, at + 1);
    } else {
      const end = scalarEnd(text, at);
      if (typeof end !== "number") return { ...end, problem: end.problem + extraComma(text, end.offset) };
      at = spaceEnd(text, end);
      expect = "more";
    }
  }
}

function orEnd(text: string, at: number, problem: string): string {
  return at < text.length ? problem : `${problem}, but the text ends here`;
}

/** The likeliest reason for a closing bracket where something is expected. */
function extraComma(text: string, at: number): string {
  const closes = text[at] === "]" || text[at] === "}";
  return closes && /,[ \t\r\n]*$/.test(text.slice(0, at)) ? `; the comma before "${text[at]}" is one too many` : "";
}

function spaceEnd(text: string, at: number): number {
  SPACE.lastIndex = at;
  SPACE.exec(text);
  return SPACE.lastIndex;
}

function scalarEnd(text: string, at: number): number | { offset: number; problem: string } {
  if (text[at] === '"') return stringEnd(text, at);
  for (const pattern of [NUMBER, WORD]) {
    pattern.lastIndex = at;
    if (pattern.exec(text)) return pattern.lastIndex;
  }
  return { offset: at, problem: orEnd(text, at, "expected a value") };
}

/** The offset after the closing quote of the string that opens at `at`. */
function stringEnd(text: string, at: number): number | { offset: number; problem: string } {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return i + 1;
    if (code < 0x20) {
      return {
        offset: i,
        problem: "a string has a raw line break or control character in it: is its closing quote missing?",
      };
    }
    if (code !== 0x5c) continue;
    const escaped = text[i + 1];
    if (escaped === "u" && /^[0-9a-fA-F]{4}/.test(text.slice(i + 2, i + 6))) i += 5;
    else if (escaped !== undefined && '"\\/bfnrt'.includes(escaped)) i += 1;
    else return { offset: i, problem: "a string has a backslash that escapes nothing: write it as \\\\" };
  }
  return { offset: at, problem: "a string opens here and is never closed" };
}

/** One element of a top-level array: its text is `text.slice(start, end)`. */
export interface ArrayElement {
  readonly start: number;
  readonly end: number;
  /** Line, from 1, where it starts. */
  readonly line: number;
}

/**
 * The elements of the array a text holds, without parsing them: brackets are counted, strings skipped.
 * Broken JSON gives wrong borders, which parsing the elements or `findJsonError` then finds; it never gives silence.
 *
 * @throws JsonError when the array is not closed, or something follows it.
 */
export function* arrayElements(text: string): Generator<ArrayElement> {
  const fail = (offset: number, problem: string) => {
    const found = findJsonError(text);
    return jsonErrorAt(text, found?.offset ?? offset, found?.problem ?? problem);
  };
  const first = spaceEnd(text, 0);
  if (text[first] !== "[") throw fail(first, 'expected "["');
  let start = spaceEnd(text, first + 1);
  let line = 1;
  let counted = 0;
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) {
      do i = text.indexOf('"', i + 1);
      while (i >= 0 && isEscaped(text, i));
      if (i < 0) break;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
    } else if (depth === 0 && (code === 0x2c || code === 0x5d)) {
      const empty = text.slice(start, i).trim() === "";
      const after = spaceEnd(text, i + 1);
      if (empty && (code === 0x2c || text.slice(first + 1, i).trim() !== "")) throw fail(i, "expected a value");
      for (let at = text.indexOf("\n", counted); at >= 0 && at < start; at = text.indexOf("\n", counted)) {
        line += 1;
        counted = at + 1;
      }
      if (!empty) yield { start, end: i, line };
      if (code === 0x5d) {
        if (after < text.length) throw fail(after, "expected the end of the file");
        return;
      }
      start = after;
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
      if (depth < 0) throw fail(i, 'expected "," or "]"');
    }
  }
  throw fail(text.length, 'expected "," or "]", but the text ends here');
}

/** Whether an odd number of backslashes stands before the quote at `at`. */
function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes += 1;
  return slashes % 2 === 1;
}
