// A run in one honest sentence: the text/plain of its output, its alt text and the last line of a terminal.

import { formatBytes, formatCount, formatSeconds, formatValue, totalBytes } from "./format.js";
import type { RunState } from "./state.js";

/** "Run a1 finished: loss 2.310 -> 0.840 over 120 updates in 1 min 12 s; validation 2.400 -> 0.910." */
export function describeRun(state: RunState): string {
  const parts = [lossPart(state), validationPart(state)];
  if (state.skipped.count > 0) {
    const { count, reason } = state.skipped;
    parts.push(`${count} ${count === 1 ? "update" : "updates"} skipped (${reason})`);
  }
  if (state.lossScale !== undefined) {
    const whole = Number.isInteger(state.lossScale);
    parts.push(`loss scale ${whole ? formatCount(state.lossScale) : formatValue(state.lossScale)}`);
  }
  if (state.memory) parts.push(`${formatBytes(totalBytes(state.memory))} of memory held`);
  else if (state.plan) parts.push(`${formatBytes(totalBytes(state.plan.memory))} of memory planned`);
  const said = parts.filter((part) => part !== "").join("; ");
  return `Run${state.runId === "" ? "" : ` ${state.runId}`} ${standing(state)}: ${said}.`;
}

function standing({ status, update, plan, reason }: RunState): string {
  const place = plan ? `at update ${update} of ${plan.updates}` : `at update ${update}`;
  switch (status) {
    case "waiting":
      return "has not begun";
    case "planned":
      return "is planned";
    case "running":
    case "paused":
      return `is ${status} ${place}`;
    case "finished":
      return "finished";
    case "stopped":
      return reason === "aborted" ? `was interrupted ${place}` : `was stopped ${place}`;
    case "failed":
      return `failed ${place} (${reason})`;
    default:
      return status satisfies never;
  }
}

function lossPart({ series, seconds }: RunState): string {
  const { loss, seen } = series;
  if (seen === 0) return "no update yet";
  const [first, last] = [loss[0]!, loss.at(-1)!];
  const over = `over ${seen} ${seen === 1 ? "update" : "updates"} in ${formatSeconds(seconds)}`;
  if (seen === 1) return `loss ${formatValue(first)} ${over}`;
  const rose = first !== null && last !== null && last > first ? " (it rose)" : "";
  return `loss ${formatValue(first)} -> ${formatValue(last)}${rose} ${over}`;
}

function validationPart({ validation }: RunState): string {
  const first = validation[0];
  const last = validation.at(-1);
  if (!first || !last) return "";
  if (validation.length === 1) return `validation loss ${formatValue(first.loss)}`;
  const best = validation.reduce((low, point) => ((point.loss ?? Infinity) < (low.loss ?? Infinity) ? point : low));
  const where = best === last ? "" : ` (best ${formatValue(best.loss)} at update ${best.update})`;
  return `validation loss ${formatValue(first.loss)} -> ${formatValue(last.loss)}${where}`;
}
