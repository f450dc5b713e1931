// The loss over the updates: training as a line, validation as dots, live changes as marks. One part of svg.ts.

import { axisEnd, extent, scale, ticks } from "./axis.js";
import { formatRate, formatValue } from "./format.js";
import { thin } from "./series.js";
import type { RunState } from "./state.js";
import { ink, label, MARGIN, type Part, round, WIDTH } from "./svg-part.js";

export const trainColour = "#0969da";
export const validationColour = "#bc4c00";
export const changeColour = "#8250df";
export const skipColour = "#a40e26";

const HEIGHT = 250;
const LEFT = MARGIN + 46;
const RIGHT = WIDTH - MARGIN;
const TOP = 26;
const BOTTOM = HEIGHT - 38;
/** More than two points a pixel cannot be told apart. */
const POINTS = 600;

/** Chart with axes, drawn from the first planned event on, so that its place is kept before numbers come. */
export function drawLoss(state: RunState): Part {
  const series = thin(state.series, POINTS);
  const known = [...series.loss, ...state.validation.map((point) => point.loss)];
  const [low, high] = extent(known);
  const last = axisEnd(state);
  const x = scale(0, last, LEFT, RIGHT);
  const y = scale(low, high, BOTTOM, TOP);
  const markup = [
    legend(state),
    ...ticks(low, high, 5).map(
      (value) =>
        `<line x1="${LEFT}" x2="${RIGHT}" y1="${round(y(value))}" y2="${round(y(value))}" stroke="${ink.grid}"/>` +
        label(LEFT - 8, y(value) + 4, tickText(value), { size: 11, fill: ink.muted, anchor: "end" }),
    ),
    `<line x1="${LEFT}" x2="${RIGHT}" y1="${BOTTOM}" y2="${BOTTOM}" stroke="${ink.muted}"/>`,
    ...ticks(0, last, 8)
      .filter(Number.isInteger)
      .map(
        (value) =>
          `<line x1="${round(x(value))}" x2="${round(x(value))}" y1="${BOTTOM}" y2="${BOTTOM + 4}" stroke="${ink.muted}"/>` +
          label(x(value), BOTTOM + 17, String(value), { size: 11, fill: ink.muted, anchor: "middle" }),
      ),
    label((LEFT + RIGHT) / 2, BOTTOM + 34, "update", { size: 11, fill: ink.muted, anchor: "middle" }),
    ...state.skipped.updates.map((update) => skip(x(update))),
    ...state.changes.map((change) => mark(x(change.update), change.controls.learningRate)),
    line(
      series.update.map(x),
      series.loss.map((loss) => (loss === null ? null : y(loss))),
    ),
    ...state.validation.map((point) =>
      point.loss === null
        ? ""
        : `<circle cx="${round(x(point.update))}" cy="${round(y(point.loss))}" r="3.5" fill="${validationColour}" stroke="${ink.card}"/>`,
    ),
    state.series.seen === 0
      ? label((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2, "no update yet", { fill: ink.muted, anchor: "middle" })
      : "",
  ];
  return { markup: markup.join(""), height: HEIGHT };
}

/** The loss as a path; a value that was not finite leaves a gap, a point alone gets a dot. */
function line(xs: readonly number[], ys: readonly (number | null)[]): string {
  let path = "";
  let drawing = false;
  const alone: string[] = [];
  ys.forEach((y, i) => {
    if (y === null) {
      drawing = false;
      return;
    }
    path += `${drawing ? "L" : "M"}${round(xs[i]!)} ${round(y)}`;
    if (!drawing && (ys[i + 1] ?? null) === null) {
      alone.push(`<circle cx="${round(xs[i]!)}" cy="${round(y)}" r="2" fill="${trainColour}"/>`);
    }
    drawing = true;
  });
  if (path === "") return "";
  return `<path d="${path}" fill="none" stroke="${trainColour}" stroke-width="1.75" stroke-linejoin="round"/>${alone.join("")}`;
}

function mark(x: number, learningRate: number | undefined): string {
  const text = learningRate === undefined ? "changed" : `rate ${formatRate(learningRate)}`;
  const nearEnd = x > RIGHT - 70;
  return (
    `<line x1="${round(x)}" x2="${round(x)}" y1="${TOP}" y2="${BOTTOM}" stroke="${changeColour}" stroke-dasharray="3 3"/>` +
    label(nearEnd ? x - 4 : x + 4, TOP + 10, text, { size: 11, fill: changeColour, anchor: nearEnd ? "end" : "start" })
  );
}

/** A small triangle on the axis: here gradients overflowed and an update was tried again. */
function skip(x: number): string {
  const [left, right] = [round(x - 4), round(x + 4)];
  return `<path d="M${left} ${BOTTOM}L${right} ${BOTTOM}L${round(x)} ${BOTTOM - 7}Z" fill="${skipColour}"/>`;
}

function legend(state: RunState): string {
  const parts = [
    label(MARGIN, 12, "Loss", { weight: 600 }),
    label(MARGIN + 36, 12, "nats per trained token", { size: 11, fill: ink.muted }),
    `<line x1="${RIGHT - 190}" x2="${RIGHT - 172}" y1="8" y2="8" stroke="${trainColour}" stroke-width="2"/>`,
    label(RIGHT - 166, 12, "training", { size: 11, fill: ink.muted }),
  ];
  if (state.validation.length > 0) {
    parts.push(
      `<circle cx="${RIGHT - 96}" cy="8" r="3.5" fill="${validationColour}"/>`,
      label(RIGHT - 88, 12, "validation", { size: 11, fill: ink.muted }),
    );
  }
  if (state.skipped.count > 0) {
    parts.push(
      `<path d="M${RIGHT - 278} 12L${RIGHT - 270} 12L${RIGHT - 274} 5Z" fill="${skipColour}"/>`,
      label(RIGHT - 266, 12, "skipped", { size: 11, fill: ink.muted }),
    );
  }
  return parts.join("");
}

function tickText(value: number): string {
  return value !== 0 && (Math.abs(value) >= 10000 || Math.abs(value) < 0.001) ? formatValue(value) : String(value);
}
