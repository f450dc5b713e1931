// `await show(run)`: the run's output in this cell, redrawn in place until the run stops.

import type { TrainEvent } from "../train/events.js";
import { channelOf } from "./channel.js";
import { drawerFor } from "./drawer.js";
import { findPlace, type Place } from "./hosts.js";
import type { RunLike } from "./run.js";
import { emptyRun, foldRuns, hasEnded } from "./state.js";

export interface ShowOptions {
  /** Where to draw. @default what findPlace finds: our kernel, tslab, or the terminal */
  readonly place?: Place;
  /** Least milliseconds between two redraws. @default 1000 */
  readonly everyMs?: number;
  /** Stop looking; the run itself goes on. @default the signal of the running cell */
  readonly signal?: AbortSignal;
}

/** After an interrupt a run of the same cell stops by itself and says so; so long is waited for its last picture. */
const GRACE_MS = 500;

/**
 * Show the run and resolve when it has stopped: in our kernel live with controls, in a tslab kernel as a picture that updates
 * in place, elsewhere as a progress bar on stderr.
 *
 * @throws what `run.finished` rejects with, after the last picture is drawn; the signal's reason when the cell was interrupted.
 */
export async function show(run: RunLike, options: ShowOptions = {}): Promise<void> {
  const { place = findPlace(), everyMs = 1000 } = options;
  const host = place.kind === "host" ? place.host : undefined;
  const signal = options.signal ?? host?.cellSignal();
  if (host) channelOf(host).add(run);
  const drawer = drawerFor(place);

  let state = emptyRun(run.id);
  const fresh: TrainEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  const fail = deferred();
  const redraw = () => {
    timer = undefined;
    state = foldRuns(state, fresh.splice(0));
    try {
      drawer.draw(state);
    } catch (error) {
      fail.reject(error);
    }
  };
  let over = false;
  const watch = async () => {
    let first = true;
    for await (const event of run) {
      if (over) return;
      fresh.push(event);
      if (first) redraw();
      else timer ??= setTimeout(redraw, everyMs);
      first = false;
    }
  };
  const left = deferred();
  const leave = () => setTimeout(left.resolve, GRACE_MS);
  signal?.addEventListener("abort", leave, { once: true });
  if (signal?.aborted) leave();
  try {
    await Promise.race([watch(), left.promise, fail.promise]);
  } finally {
    over = true;
    signal?.removeEventListener("abort", leave);
    clearTimeout(timer);
    state = foldRuns(state, fresh.splice(0));
    await drawer.last(state);
  }
  if (!hasEnded(state.status)) signal?.throwIfAborted();
  await run.finished;
}

function deferred() {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
