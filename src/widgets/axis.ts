// Axes of a chart: where they end, round tick values, and the straight line from values to pixels.

import { hasEnded, type RunState } from "./state.js";

/**
 * The update at which the chart's axis ends: the last one of a run that has ended; else the plan, halved while the curve would
 * fill less than two fifths of it, so that a long run can be read from the start and the axis moves a few times only.
 */
export function axisEnd(state: RunState): number {
  if (hasEnded(state.status)) return Math.max(1, state.update);
  const planned = Math.max(1, state.plan?.updates ?? 0, state.update);
  let end = planned;
  while (end / 2 >= Math.max(20, 1.25 * state.update)) end /= 2;
  return Math.ceil(end);
}

/** Round values (1, 2 or 5 times a power of ten) inside [low, high], about `count` of them. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10) * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const values: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    values.push(Number((i * step).toFixed(Math.min(20, digits))));
  }
  return values;
}

/** Lowest and highest of the finite values, widened by a twentieth; [0, 1] when there are none. */
export function extent(values: readonly (number | null)[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  const margin = high > low ? (high - low) / 20 : Math.abs(low) / 10 || 1;
  return [low < 0 ? low - margin : Math.max(0, low - margin), high + margin];
}

export type Scale = (value: number) => number;

/** Maps [from, to] to [start, end] pixels. */
export function scale(from: number, to: number, start: number, end: number): Scale {
  const width = to - from || 1;
  return (value) => start + ((value - from) / width) * (end - start);
}
