// Plain text that says the same thing in many ways on one line: what a reader sees a lot of, before anybody asks questions. Every token
// teaches, so copying, counting and adding are learnt in far fewer rows than from questions alone. Next to read: world.ts.

import { listWords } from "./lexicon.js";
import { type Draw, pick } from "./split.js";
import { MOST } from "./tasks.js";

/** Characters of a practice text: with one token each, it fits into a row. */
const LENGTH = 28;

function someWords(count: number, draw: Draw): string[] {
  return Array.from({ length: count }, () => pick(listWords, draw));
}

/** The same list of words again and again. */
function chant(draw: Draw): string {
  const words = someWords(2 + draw(4), draw);
  return Array.from({ length: Math.floor(24 / (words.length + 1)) }, () => words.join(" ")).join("\n");
}

/** Words and their capitals. */
function shout(draw: Draw): string {
  return someWords(4, draw)
    .map((word) => `${word} ${word.toUpperCase()}`)
    .join("\n");
}

function counting(draw: Draw): string {
  const from = draw(MOST - 7);
  return Array.from({ length: 8 }, (_, i) => from + i).join(" ");
}

/** Sums and differences. */
function equations(draw: Draw): string {
  const lines: string[] = [];
  for (let length = 0; ; ) {
    const a = draw(MOST + 1);
    const b = draw(2) === 0 ? draw(MOST + 1 - a) : -draw(a + 1);
    const line = `${a}${b < 0 || Object.is(b, -0) ? "-" : "+"}${Math.abs(b)}=${a + b}`;
    length += line.length + 1;
    if (length > LENGTH + 2) return lines.join("\n");
    lines.push(line);
  }
}

const kinds = [chant, chant, shout, counting, equations, equations];

/** One practice text. */
export function practice(draw: Draw): string {
  return pick(kinds, draw)(draw);
}
