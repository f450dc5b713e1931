// What the run checked before its first step, and the numbers behind the chart: folded away, open to keyboard and screen reader.

import {
  type Finding,
  formatCount,
  formatRate,
  formatSeconds,
  formatValue,
  type RunState,
} from "tunebook/widgets/browser";
import { element, type Part, say } from "./dom.js";

const marks: Readonly<Record<Finding["verdict"], string>> = { good: "✓", warning: "!", refused: "✗" };

/** The health certificate; opens by itself when something is not good. */
export function findingsPart(): Part<RunState> {
  const summary = element("summary", {}, "Checks");
  const list = element("ul");
  const node = element("details", { class: "tb-findings", hidden: true }, summary, list);
  let drawn: readonly Finding[] = [];
  return {
    node,
    update({ findings }) {
      if (findings === drawn) return;
      drawn = findings;
      node.hidden = findings.length === 0;
      const bad = findings.filter(({ verdict }) => verdict !== "good").length;
      say(
        summary,
        `Checks before the first update: ${findings.length - bad} good${bad > 0 ? `, ${bad} to look at` : ""}`,
      );
      if (bad > 0) node.setAttribute("open", "");
      list.replaceChildren(
        ...findings.map(({ check, verdict, message }) =>
          element(
            "li",
            { class: `tb-${verdict}` },
            element("span", { class: "tb-mark", "aria-hidden": "true" }, marks[verdict]),
            element("strong", {}, check),
            ` ${verdict === "good" ? "" : `(${verdict}) `}${message}`,
          ),
        ),
      );
    },
  };
}

/** Most rows of the table of numbers. */
const ROWS = 12;

/** The chart as a table: evenly spread updates, filled only while it is open. */
export function numbersPart(): Part<RunState> {
  const body = element("tbody");
  const names = ["update", "loss", "learning rate", "gradient norm", "tokens/s", "time"];
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)))),
    body,
  );
  const node = element("details", { class: "tb-numbers" }, element("summary", {}, "Numbers"), table);
  let state: RunState | undefined;
  const fill = () => {
    if (!state || !node.open) return;
    const { series } = state;
    const last = series.update.length - 1;
    const rows = [...new Set(Array.from({ length: ROWS }, (_, i) => Math.round((i * last) / (ROWS - 1))))].filter(
      (i) => i >= 0,
    );
    body.replaceChildren(
      ...rows.map((i) => {
        const speed = series.tokensPerSecond[i];
        const cells = [
          String(series.update[i]),
          formatValue(series.loss[i]),
          formatRate(series.learningRate[i]),
          formatValue(series.gradientNorm[i]),
          typeof speed === "number" ? formatCount(speed) : "n/a",
          formatSeconds(series.seconds[i]!),
        ];
        return element("tr", {}, ...cells.map((text) => element("td", {}, text)));
      }),
    );
  };
  node.addEventListener("toggle", fill);
  return {
    node,
    update(next) {
      state = next;
      fill();
    },
  };
}
