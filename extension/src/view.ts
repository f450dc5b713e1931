// One run in one element: status, controls, chart, memory, answers, checks. No framework and no JupyterLab; model.ts feeds it.

import { describeRun, formatCount, formatSeconds, type RunState, secondsLeft } from "tunebook/widgets/browser";
import { answersPart } from "./answers.js";
import { chartPart } from "./chart.js";
import { controlsPart } from "./controls.js";
import { element, type Part, say } from "./dom.js";
import { findingsPart, numbersPart } from "./findings.js";
import { memoryPart } from "./memory.js";
import type { Line, RunModel } from "./model.js";

/** Draw `model` into `container` and follow it. The returned function takes everything away again. */
export function render(model: RunModel, container: HTMLElement): () => void {
  const header = headerPart();
  const controls = controlsPart();
  const chart = chartPart();
  const parts: Part<RunState>[] = [chart, memoryPart(), answersPart(), numbersPart(), findingsPart()];
  const root = element(
    "div",
    { class: "tb-run", role: "group", "aria-label": `Training run ${model.state.runId}` },
    header.node,
    controls.node,
    ...parts.map((part) => part.node),
  );
  const update = () => {
    header.update(model);
    controls.update(model);
    for (const part of parts) part.update(model.state);
    chart.node.setAttribute("aria-label", describeRun(model.state));
  };
  const unsubscribe = model.onChange(update);
  update();
  container.replaceChildren(root);
  return () => {
    unsubscribe();
    for (const part of [header, controls]) part.dispose?.();
    for (const part of parts) part.dispose?.();
    root.remove();
  };
}

const notices: Readonly<Record<Line, string>> = {
  saved: "",
  connecting: "asking the kernel …",
  live: "",
  gone: "Kernel gone: last state shown.",
};

function headerPart(): Part<RunModel> {
  const title = element("strong", { class: "tb-title" });
  const status = element("span", { class: "tb-status", role: "status" });
  const facts = element("span", { class: "tb-muted" });
  const notice = element("span", { class: "tb-notice", role: "status" });
  const failure = element("div", { class: "tb-failure", role: "alert", hidden: true });
  const progress = element("progress", { class: "tb-progress", max: 1, value: 0, "aria-label": "Updates made" });
  const where = element("span", { class: "tb-muted tb-where" });
  const node = element(
    "div",
    { class: "tb-header" },
    element("div", { class: "tb-line" }, title, status, notice, where),
    element("div", { class: "tb-line tb-facts" }, facts),
    progress,
    failure,
  );
  return {
    node,
    update({ state, line }) {
      const { plan } = state;
      say(title, `Run ${state.runId}`);
      say(status, state.status);
      status.dataset["status"] = state.status;
      say(notice, notices[line]);
      failure.hidden = state.status !== "failed";
      if (state.status === "failed") say(failure, state.reason);
      say(facts, plan ? factsOf(state) : "no plan yet");
      progress.max = Math.max(1, plan?.updates ?? 1);
      progress.value = state.update;
      const left = secondsLeft(state);
      const made = plan ? `update ${formatCount(state.update)} of ${formatCount(plan.updates)} · ` : "";
      say(
        where,
        `${made}${formatSeconds(state.seconds)}${left === undefined ? "" : ` · about ${formatSeconds(left)} left`}`,
      );
    },
  };
}

function factsOf({ plan, series, saved }: RunState): string {
  const speed = series.tokensPerSecond.at(-1);
  return [
    plan!.device,
    plan!.dtype,
    `${formatCount(plan!.trainedParameters)} trained parameters`,
    `${formatCount(plan!.rows)} rows`,
    typeof speed === "number" ? `${formatCount(speed)} tokens/s` : "",
    series.update.length < series.seen
      ? `${formatCount(series.update.length)} of ${formatCount(series.seen)} points shown`
      : "",
    saved ? `${saved.what} saved at update ${saved.update}` : "",
  ]
    .filter((fact) => fact !== "")
    .join(" · ");
}
