// Pause, resume, stop, save and the learning rate of a running run: buttons and a field, by mouse and by keyboard.

import { formatRate, hasEnded } from "tunebook/widgets/browser";
import { element, type Part, say } from "./dom.js";
import type { RunModel } from "./model.js";

/** Disabled when there is no kernel to ask or nothing left to control; a refusal is said beside them. */
export function controlsPart(): Part<RunModel> {
  let model: RunModel | undefined;
  const button = (text: string, title: string, pressed: () => void) => {
    const made = element("button", { type: "button", class: "jp-mod-styled jp-mod-minimal tb-button", title }, text);
    made.addEventListener("click", pressed);
    return made;
  };
  const pause = button("Pause", "Pause after the current update", () =>
    model?.ask({ kind: model.state.status === "paused" ? "resume" : "pause" }),
  );
  const stop = button("Stop", "Stop after the current update and keep what was learned", () =>
    model?.ask({ kind: "stop" }),
  );
  const save = button("Save", "Save a checkpoint now", () => model?.ask({ kind: "save" }));
  const rate = element("input", {
    type: "text",
    class: "jp-mod-styled tb-rate",
    inputmode: "decimal",
    autocomplete: "off",
    spellcheck: "false",
    size: 8,
  });
  const apply = element("button", { type: "submit", class: "jp-mod-styled jp-mod-minimal tb-button" }, "Apply");
  const form = element("form", { class: "tb-rate-form" }, element("label", {}, "Learning rate ", rate), apply);
  const said = element("output", { class: "tb-said", "aria-live": "polite" });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const learningRate = Number(rate.value.trim());
    const valid = rate.value.trim() !== "" && Number.isFinite(learningRate) && learningRate > 0;
    rate.setAttribute("aria-invalid", String(!valid));
    if (!valid) {
      say(said, "A learning rate is a number above 0, such as 1e-4.");
      return;
    }
    say(said, `Asked for ${formatRate(learningRate)}.`);
    model?.ask({ kind: "set", controls: { learningRate } });
  });
  // Typing in an output must not reach the notebook's one-letter commands.
  form.addEventListener("keydown", (event) => event.stopPropagation());

  const node = element(
    "div",
    { class: "tb-controls", role: "group", "aria-label": "Controls of the run" },
    pause,
    stop,
    save,
    form,
    said,
  );
  let changes: number | undefined;
  return {
    node,
    update(next) {
      model = next;
      const { state, line, refusal } = next;
      const idle = line !== "live" || hasEnded(state.status);
      for (const control of [pause, stop, save, rate, apply]) control.disabled = idle;
      say(pause, state.status === "paused" ? "Resume" : "Pause");
      const now = state.series.learningRate.at(-1);
      if (typeof now === "number") rate.placeholder = formatRate(now);
      const change = state.changes.at(-1);
      if (refusal !== "") say(said, refusal);
      else if (change && changes !== undefined && state.changes.length > changes) {
        const to = change.controls.learningRate;
        say(said, `${to === undefined ? "Changed" : `Learning rate ${formatRate(to)}`} after update ${change.update}.`);
      }
      if (line === "live" || line === "saved") changes = state.changes.length;
    },
  };
}
