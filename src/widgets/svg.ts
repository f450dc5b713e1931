// A run as one picture for saved notebooks: drawn from the state alone, on its own card so that it reads on light and dark.
// The parts are svg-chart.ts (loss), svg-memory.ts (bytes) and svg-answers.ts (before and after).

import { formatCount, formatSeconds } from "./format.js";
import { type RunState, type RunStatus, secondsLeft } from "./state.js";
import { drawAnswers } from "./svg-answers.js";
import { drawLoss } from "./svg-chart.js";
import { drawMemory } from "./svg-memory.js";
import { fonts, ink, label, MARGIN, type Part, round, WIDTH } from "./svg-part.js";
import { escapeXml, textWidth } from "./svg-text.js";
import { describeRun } from "./text.js";

const pills: Readonly<Record<RunStatus, string>> = {
  waiting: "#59636e",
  planned: "#59636e",
  running: "#0550ae",
  paused: "#7d4e00",
  finished: "#116329",
  stopped: "#7d4e00",
  failed: "#a40e26",
};

export interface Picture {
  readonly svg: string;
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
}

/** The run as SVG text: WIDTH wide, as tall as it needs to be. Holds no script, no style sheet and no link. */
export function drawRun(state: RunState): Picture {
  const parts = [drawHeader(state), drawLoss(state), drawMemory(state), drawAnswers(state)];
  return drawCard(parts, `Training run ${state.runId}`, describeRun(state));
}

/** Parts below one another on a card. `title` and `sentence` are for those who cannot see it. */
export function drawCard(parts: readonly Part[], title: string, sentence: string): Picture {
  let y = MARGIN;
  const placed: string[] = [];
  for (const { markup, height } of parts) {
    if (height === 0) continue;
    placed.push(`<g transform="translate(0 ${y})">${markup}</g>`);
    y += height + 20;
  }
  const height = Math.ceil(y - 20 + MARGIN);
  const said = escapeXml(sentence);
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ` +
    `role="img" aria-label="${said}" font-family="${fonts}" font-size="13" fill="${ink.text}">` +
    `<title>${escapeXml(title)}</title><desc>${said}</desc>` +
    `<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8" fill="${ink.card}" stroke="${ink.line}"/>` +
    `${placed.join("")}</svg>`;
  return { svg, width: WIDTH, height };
}

function drawHeader(state: RunState): Part {
  const { plan } = state;
  const title = state.runId === "" ? "Training run" : `Run ${state.runId}`;
  const pill = textWidth(state.status, 12) + 18;
  const left = secondsLeft(state);
  const facts = plan
    ? [
        plan.device,
        plan.dtype,
        `${formatCount(plan.trainedParameters)} trained parameters`,
        `${formatCount(plan.rows)} rows`,
        plan.validationRows > 0 ? `${formatCount(plan.validationRows)} for validation` : "",
      ].filter((fact) => fact !== "")
    : ["no plan yet"];
  const progress = [
    plan ? `update ${formatCount(state.update)} of ${formatCount(plan.updates)}` : "",
    formatSeconds(state.seconds),
    left === undefined ? "" : `about ${formatSeconds(left)} left`,
  ].filter((text) => text !== "");
  const width = WIDTH - 2 * MARGIN;
  const done = plan && plan.updates > 0 ? Math.min(1, state.update / plan.updates) : 0;
  const markup = [
    label(MARGIN, 14, title, { size: 17, weight: 600 }),
    `<rect x="${round(WIDTH - MARGIN - pill)}" y="-1" width="${round(pill)}" height="21" rx="10.5" fill="${pills[state.status]}"/>`,
    label(WIDTH - MARGIN - pill / 2, 14, state.status, { size: 12, fill: "#ffffff", anchor: "middle", weight: 600 }),
    label(MARGIN, 36, facts.join(" · "), { size: 12, fill: ink.muted }),
    label(WIDTH - MARGIN, 36, progress.join(" · "), { size: 12, fill: ink.muted, anchor: "end" }),
    `<rect x="${MARGIN}" y="46" width="${width}" height="4" rx="2" fill="${ink.grid}"/>`,
    done > 0
      ? `<rect x="${MARGIN}" y="46" width="${round(width * done)}" height="4" rx="2" fill="${pills[state.status]}"/>`
      : "",
    state.status === "failed" ? label(MARGIN, 68, state.reason.slice(0, 110), { size: 12, fill: pills.failed }) : "",
  ];
  return { markup: markup.join(""), height: state.status === "failed" ? 70 : 50 };
}
