// Answers before and after, side by side. What a model wrote is text: it reaches the page through textContent alone.

import type { Answer, RunState } from "tunebook/widgets/browser";
import { element, type Part, say } from "./dom.js";

/** Nothing until the run has sampled; then one row a prompt. */
export function answersPart(): Part<RunState> {
  const after = element("th", { scope: "col" });
  const body = element("tbody");
  const node = element(
    "section",
    { class: "tb-answers", "aria-label": "Answers before and after", hidden: true },
    element("div", { class: "tb-heading" }, element("strong", {}, "Answers")),
    element(
      "table",
      {},
      element(
        "thead",
        {},
        element("tr", {}, element("th", { scope: "col" }, "prompt"), element("th", { scope: "col" }, "base"), after),
      ),
      body,
    ),
  );
  let drawn: readonly Answer[] = [];
  return {
    node,
    update({ answers }) {
      if (answers.latest === drawn) return;
      drawn = answers.latest;
      node.hidden = drawn.length === 0;
      say(after, `tuned, update ${answers.update}`);
      body.replaceChildren(
        ...drawn.map(({ prompt, base, tuned }) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, prompt),
            element("td", {}, base),
            element("td", { class: base === tuned ? "" : "tb-differs" }, tuned),
          ),
        ),
      );
    },
  };
}
