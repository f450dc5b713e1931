// A run in a terminal: a progress bar where there is one, plain lines in a log. Written to stderr; results keep stdout.

import { Presets, SingleBar } from "cli-progress";
import type { Drawer } from "./drawer.js";
import { formatBytes, formatCount, formatSeconds, formatValue, totalBytes } from "./format.js";
import { type RunState, secondsLeft } from "./state.js";
import { describeRun } from "./text.js";

/** Least seconds between two lines of a log. */
const LINE_SECONDS = 5;

/** "update 40/120  loss 0.912  1,240 tokens/s  19.6 MiB  about 34 s left" */
export function progressLine(state: RunState): string {
  const left = secondsLeft(state);
  const speed = state.series.tokensPerSecond.at(-1);
  const memory = state.memory ?? state.plan?.memory;
  return [
    `update ${state.update}/${state.plan?.updates ?? "?"}`,
    state.series.seen > 0 ? `loss ${formatValue(state.series.loss.at(-1))}` : "",
    typeof speed === "number" ? `${formatCount(speed)} tokens/s` : "",
    memory ? formatBytes(totalBytes(memory)) : "",
    left === undefined ? "" : `about ${formatSeconds(left)} left`,
  ]
    .filter((part) => part !== "")
    .join("  ");
}

export function terminalDrawer(stream: NodeJS.WriteStream = process.stderr): Drawer {
  return stream.isTTY ? barDrawer(stream) : lineDrawer(stream);
}

function barDrawer(stream: NodeJS.WriteStream): Drawer {
  let bar: SingleBar | undefined;
  return {
    draw(state) {
      const total = state.plan?.updates ?? 0;
      if (!bar) {
        bar = new SingleBar(
          { format: "{bar} {percentage}%  {line}", stream, hideCursor: true, barsize: 24, fps: 4 },
          Presets.shades_classic,
        );
        bar.start(total, state.update, { line: progressLine(state) });
      }
      bar.setTotal(total);
      bar.update(state.update, { line: progressLine(state) });
    },
    async last(state) {
      bar?.update(state.update, { line: progressLine(state) });
      bar?.stop();
      stream.write(`${describeRun(state)}\n`);
    },
  };
}

function lineDrawer(stream: NodeJS.WriteStream): Drawer {
  let writtenAt = Number.NEGATIVE_INFINITY;
  return {
    draw(state) {
      if (state.seconds - writtenAt < LINE_SECONDS) return;
      writtenAt = state.seconds;
      stream.write(`${progressLine(state)}\n`);
    },
    async last(state) {
      stream.write(`${describeRun(state)}\n`);
    },
  };
}
