// Plain text that says the same thing in many ways on one line: what a reader sees a lot of, before anybody asks questions. Every token
// teaches, so copying, counting and adding are learnt in far fewer rows than from questions alone. Next to read: world.ts.

import { listWords } from "./lexicon.js";
import { type Draw, isHeldOut, pick, sumContent } from "./split.js";

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

/** A list and its reverse, in turn. */
function mirror(draw: Draw): string {
  const words = someWords(2 + draw(3), draw);
  const turned = words.toReversed();
  return Array.from({ length: Math.floor(24 / (words.length + 1)) }, (_, i) => (i % 2 === 0 ? words : turned).join(" ")).join("\n");
}

/** Words and their capitals. */
function shout(draw: Draw): string {
  return someWords(4, draw)
    .map((word) => `${word} ${word.toUpperCase()}`)
    .join("\n");
}

function counting(draw: Draw): string {
  const from = draw(93);
  return Array.from({ length: 7 }, (_, i) => from + i).join(" ");
}

/** Sums and differences, small ones more often than large ones; none that is held out. */
function equations(draw: Draw): string {
  const lines: string[] = [];
  let length = 0;
  const below = pick([10, 10, 20, 50, 100, 100, 100], draw);
  while (length < LENGTH) {
    const [a, b] = [draw(below), draw(below)];
    const [large, small] = [Math.max(a, b), Math.min(a, b)];
    if (draw(2) === 0) {
      if (a + b > 99 || isHeldOut("add", sumContent(a, b))) continue;
      lines.push(`${a}+${b}=${a + b}`);
    } else {
      if (isHeldOut("subtract", `${large} ${small}`)) continue;
      lines.push(`${large}-${small}=${large - small}`);
    }
    length += (lines.at(-1) as string).length + 1;
  }
  return (length > LENGTH + 2 ? lines.slice(0, -1) : lines).join("\n");
}

const kinds = [chant, mirror, mirror, shout, counting, equations, equations, equations, equations, equations];

/** One practice text. */
export function practice(draw: Draw): string {
  return pick(kinds, draw)(draw);
}
