// A memory plan as a picture: one bar for each part of a run, stacked by category, and the budget as a line.

import { categories } from "../engine/program.js";
import { formatBytes, totalBytes } from "./format.js";
import type { PlanFacts } from "./plan.js";
import { drawCard, type Picture } from "./svg.js";
import { bar, FULL, LEFT, legend } from "./svg-memory.js";
import { ink, label, MARGIN, type Part, round } from "./svg-part.js";

const STEP = 22;

export function drawPlan(facts: PlanFacts, sentence: string): Picture {
  const head: Part = {
    markup:
      label(MARGIN, 14, "Memory plan", { size: 17, weight: 600 }) +
      label(MARGIN, 34, facts.title, { size: 12, fill: ink.muted }) +
      label(MARGIN, 52, sentence, { size: 12 }),
    height: 54,
  };
  return drawCard([head, drawBars(facts)], "Memory plan", `${facts.title}: ${sentence}`);
}

function drawBars({ bytes, parts, budget, fits }: PlanFacts): Part {
  const rows = [
    ["whole run", bytes] as const,
    ...Object.entries(parts).flatMap(([name, part]) => (part ? [[name, part] as const] : [])),
  ];
  const most = Math.max(1, budget ?? 0, ...rows.map(([, part]) => totalBytes(part)));
  const bottom = rows.length * STEP;
  const markup = rows.map(([name, part], i) => bar(i * STEP, name, part, most, i > 0));
  if (budget !== undefined) {
    const x = round(LEFT + (budget / most) * FULL);
    const colour = fits ? "#116329" : "#a40e26";
    markup.push(
      `<line x1="${x}" y1="-4" x2="${x}" y2="${bottom}" stroke="${colour}" stroke-width="1.5" stroke-dasharray="4 3"/>`,
      label(x, bottom + 12, `budget ${formatBytes(budget)}`, { size: 11, fill: colour, anchor: "end" }),
    );
  }
  const shown = categories.filter((category) => bytes[category] > 0).length;
  return { markup: markup.join("") + legend(bottom + 34, bytes), height: bottom + 26 + Math.ceil(shown / 4) * 18 };
}
