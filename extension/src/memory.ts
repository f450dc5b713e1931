// The memory meter: per category, the plan as an outline and what is held as a fill, on one scale, in human units.

import { categories, formatBytes, memoryColours, type RunState, totalBytes } from "tunebook/widgets/browser";
import { element, type Part, say } from "./dom.js";

/** A row for each category that has bytes, and their sum; three rows high before there is a plan. */
export function memoryPart(): Part<RunState> {
  const total = element("span", { class: "tb-muted" }, "not planned yet");
  const rows = new Map(
    categories.map((category) => {
      const held = element("div", { class: "tb-held" });
      held.style.background = memoryColours[category];
      const planned = element("div", { class: "tb-planned" });
      planned.style.borderColor = memoryColours[category];
      const bytes = element("span", { class: "tb-bytes" });
      const track = element("div", { class: "tb-track", role: "meter", "aria-label": category }, planned, held);
      const row = element("div", { class: "tb-memory-row", hidden: true }, element("span", {}, category), track, bytes);
      return [category, { row, track, held, planned, bytes }];
    }),
  );
  const node = element(
    "section",
    { class: "tb-memory", "aria-label": "Memory" },
    element("div", { class: "tb-heading" }, element("strong", {}, "Memory"), " ", total),
    ...[...rows.values()].map(({ row }) => row),
  );
  return {
    node,
    update({ plan, memory }) {
      if (!plan) return;
      const most = Math.max(1, ...categories.map((name) => Math.max(plan.memory[name] ?? 0, memory?.[name] ?? 0)));
      for (const [category, part] of rows) {
        const [planned, held] = [plan.memory[category] ?? 0, memory?.[category] ?? 0];
        part.row.hidden = planned === 0 && held === 0;
        part.planned.style.width = `${(planned / most) * 100}%`;
        part.held.style.width = `${(held / most) * 100}%`;
        const words = `${memory ? formatBytes(held) : "–"} of ${formatBytes(planned)}`;
        say(part.bytes, words);
        part.track.setAttribute("aria-valuemin", "0");
        part.track.setAttribute("aria-valuemax", String(Math.max(planned, held)));
        part.track.setAttribute("aria-valuenow", String(held));
        part.track.setAttribute("aria-valuetext", `${words} planned`);
      }
      const sum = formatBytes(totalBytes(plan.memory));
      say(total, memory ? `${formatBytes(totalBytes(memory))} held of ${sum} planned` : `${sum} planned`);
    },
  };
}
