// Memory by category: what the plan said as an outline, what is held as a filled bar. One part of svg.ts.

import { type Category, categories } from "../engine/program.js";
import type { MemoryBytes } from "../train/events.js";
import { formatBytes, totalBytes } from "./format.js";
import type { RunState } from "./state.js";
import { ink, label, MARGIN, type Part, round, WIDTH } from "./svg-part.js";

export const memoryColours: Readonly<Record<Category, string>> = {
  weights: "#4e79a7",
  trained: "#f28e2b",
  gradients: "#e15759",
  optimizer: "#b07aa1",
  activations: "#59a14f",
  workspace: "#9c755f",
  cache: "#76b7b2",
  io: "#8f8a87",
};

/** Where bars begin, and how wide the longest is. */
export const LEFT = MARGIN + 72;
export const FULL = WIDTH - MARGIN - LEFT - 84;

/** Two bars on one scale and a legend with bytes; nothing before there is a plan. */
export function drawMemory(state: RunState): Part {
  if (!state.plan) return { markup: "", height: 0 };
  const planned = state.plan.memory;
  const held = state.memory;
  const most = Math.max(1, totalBytes(planned), held ? totalBytes(held) : 0);
  const shown = categories.filter((category) => (planned[category] ?? 0) > 0 || (held?.[category] ?? 0) > 0);
  const rows = Math.ceil(shown.length / 4);
  const markup = [
    label(MARGIN, 12, "Memory", { weight: 600 }),
    bar(24, "planned", planned, most, true),
    bar(46, "held", held, most, false),
    legend(78, held ?? planned),
  ];
  return { markup: markup.join(""), height: 70 + rows * 18 };
}

/** Colour, name and bytes of each category there is, four beside each other. */
export function legend(top: number, bytes: MemoryBytes): string {
  const column = (WIDTH - 2 * MARGIN) / 4;
  const entries = categories.filter((category) => (bytes[category] ?? 0) > 0);
  return entries
    .map((category, i) => {
      const [x, y] = [MARGIN + (i % 4) * column, top + Math.floor(i / 4) * 18];
      return (
        `<rect x="${round(x)}" y="${y - 9}" width="10" height="10" rx="2" fill="${memoryColours[category]}"/>` +
        label(x + 16, y, `${category} ${formatBytes(bytes[category])}`, { size: 11, fill: ink.muted })
      );
    })
    .join("");
}

/** One bar of stacked categories, on a scale that ends at `most`. */
export function bar(y: number, name: string, bytes: MemoryBytes | undefined, most: number, outline: boolean): string {
  const total = bytes ? formatBytes(totalBytes(bytes)) : "not yet";
  const words =
    label(MARGIN, y + 11, name, { size: 11, fill: ink.muted }) + label(LEFT + FULL + 8, y + 11, total, { size: 11 });
  if (!bytes) return words;
  let x = LEFT;
  const segments = categories.map((category) => {
    const width = ((bytes[category] ?? 0) / most) * FULL;
    const [start, colour] = [x, memoryColours[category]];
    x += width;
    if (width < 0.5) return "";
    return outline
      ? `<rect x="${round(start + 0.5)}" y="${y + 0.5}" width="${round(Math.max(0.5, width - 1))}" height="13" fill="${colour}" fill-opacity="0.18" stroke="${colour}"/>`
      : `<rect x="${round(start)}" y="${y}" width="${round(width)}" height="14" fill="${colour}"/>`;
  });
  return words + segments.join("");
}
