// One job on both sides: two processes, warmed up, then taking turns. Next to read: table.ts.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Built, Child, type Report } from "./child.js";
import type { OurReport } from "./ours.js";
import type { Job } from "./shapes.js";
import { ratios, type Spread, spread } from "./statistics.js";

export interface CompareOptions {
  /** Measured turns of each side. */
  readonly turns: number;
  /** Shortest turn: steps quicker than this are measured several at a time. */
  readonly turnSeconds: number;
  /** Python of the peer. */
  readonly python: string;
}

export interface Comparison {
  readonly job: Job;
  /** Of one step: an update, or the tokens after the first. */
  readonly ours: Side<OurReport>;
  readonly peer: Side<Report>;
  /** Peer's seconds by ours, pair by pair: above 1 we are faster. */
  readonly ratio: Spread;
}

export interface Side<R extends Report> {
  readonly built: Built;
  readonly seconds: Spread;
  readonly report: R;
}

/** Steps before the first one that counts: memory is touched, kernels are chosen. */
const WARM_UP = 2;

/** Between two turns, so that the other side's threads have stopped spinning. */
const PAUSE_MS = 50;

/** Steps of a turn that lasts at least so long, given the time of one. */
export function stepsOf(turnSeconds: number, stepSeconds: number): number {
  return Math.max(1, Math.ceil(turnSeconds / stepSeconds));
}

export async function compare(job: Job, { turns, turnSeconds, python }: CompareOptions): Promise<Comparison> {
  const threads = String(job.threads);
  const env = { OMP_NUM_THREADS: threads, MKL_NUM_THREADS: threads, PYTHONWARNINGS: "ignore" };
  const text = JSON.stringify(job);
  const children: Child[] = [];
  const start = async (name: string, program: string, args: readonly string[]) => {
    const { child, built } = await Child.start(name, program, [...args, text], env);
    children.push(child);
    return { child, built };
  };
  try {
    const ours = await start("ours", process.execPath, ["--import", "tsx", join(import.meta.dirname, "ours.ts")]);
    const peer = await start("PyTorch + PEFT", python, [join(import.meta.dirname, "peer.py")]);
    const sides = [ours.child, peer.child] as const;
    const times: number[] = [];
    for (const child of sides) {
      let last = 0;
      for (let i = 0; i < WARM_UP; i++) last = (await child.step(1)).seconds;
      times.push(stepsOf(turnSeconds, last));
    }
    const seconds: [number[], number[]] = [[], []];
    for (let turn = 0; turn < turns; turn++) {
      for (const [side, child] of sides.entries()) {
        await sleep(PAUSE_MS);
        (seconds[side] as number[]).push((await child.step(times[side] as number)).seconds);
      }
    }
    const comparison: Comparison = {
      job,
      ours: { built: ours.built, seconds: spread(seconds[0]), report: await ours.child.report<OurReport>() },
      peer: { built: peer.built, seconds: spread(seconds[1]), report: await peer.child.report() },
      ratio: ratios(seconds[1], seconds[0]),
    };
    for (const child of children) await child.end();
    return comparison;
  } catch (error) {
    for (const child of children) child.kill();
    throw error;
  }
}
