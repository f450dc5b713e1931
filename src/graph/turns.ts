// Long work on the JS thread in small pieces, so that other work gets its turn. Used by gradients.ts and plan.ts.

import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";

/** Work that can stand still wherever it yields. */
export type Work<T> = Generator<void, T, void>;

/** Milliseconds after which others get a turn. */
const SLICE_MS = 8;

/** To the end, at once. */
export function atOnce<T>(work: Work<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** To the end, with a turn for others every few milliseconds. */
export async function inTurns<T>(work: Work<T>): Promise<T> {
  for (let began = performance.now(); ; ) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - began < SLICE_MS) continue;
    await setImmediate();
    began = performance.now();
  }
}
