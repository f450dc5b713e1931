// What a run tells the world. Terminal, charts, log file and sweeps read this and nothing else. Made by run.ts.

import type { Category } from "../engine/program.js";
import type { Overflow } from "./loss-scale.js";

/** Bytes by category; planned before anything is allocated, and counted by the device while running. */
export type MemoryBytes = Readonly<Record<Category, number>>;

/** One line of the health certificate. `refused` ends the run before its first step. */
export interface Finding {
  readonly check: string;
  readonly verdict: "good" | "warning" | "refused";
  /** What was found, in words and numbers. */
  readonly message: string;
}

/** One prompt answered by the base and by the model as it is trained so far, greedily. */
export interface Answer {
  readonly prompt: string;
  readonly base: string;
  readonly tuned: string;
}

/** A live control: the run goes on with these from the update named in the event. */
export interface Controls {
  readonly learningRate?: number;
}

/** Layers by what of them is computed again in the backward of batches of one shape. */
export interface Recompute {
  readonly batch: number;
  readonly seq: number;
  /** Layers that keep all values, compute their feed-forward again, and compute all of it again. */
  readonly keep: number;
  readonly mlp: number;
  readonly layer: number;
}

/** Every event carries the number of updates made so far and the seconds since the run began. */
interface At {
  readonly update: number;
  readonly seconds: number;
}

export type TrainEvent = At &
  (
    | {
        readonly kind: "planned";
        readonly runId: string;
        readonly updates: number;
        readonly rows: number;
        readonly validationRows: number;
        readonly trainedParameters: number;
        readonly memory: MemoryBytes;
        /** The bytes it must stay within, where a budget was given. */
        readonly memoryBudget?: number | undefined;
        /** Rows that go through the model at once, and how often that is done for an update. Absent in older logs. */
        readonly microBatchSize?: number;
        readonly passes?: number;
        /** How many layers compute what again on the way back, for each shape of batch. */
        readonly recompute?: readonly Recompute[];
        readonly device: string;
        readonly dtype: string;
        /** What frozen linear layers are held in, where that is not `dtype`. */
        readonly quantize?: string;
      }
    | { readonly kind: "checked"; readonly findings: readonly Finding[] }
    | {
        readonly kind: "updated";
        /** Mean nats per trained token of this update's batches. */
        readonly loss: number;
        readonly learningRate: number;
        /** Global norm of the gradients before clipping. */
        readonly gradientNorm: number;
        readonly trainedTokens: number;
        /** All tokens of the batches without padding. */
        readonly tokens: number;
        readonly tokensPerSecond: number;
        readonly epoch: number;
        readonly memory: MemoryBytes;
        /** What the loss was multiplied with; in f16 only. */
        readonly lossScale?: number;
      }
    | {
        /** Gradients overflowed f16: nothing was changed, and the same update is tried again at a lower scale. */
        readonly kind: "skipped";
        /** What overflowed and what follows, in words. */
        readonly reason: string;
        /** Number of the update, from 1. */
        readonly step: number;
        readonly scaleBefore: number;
        readonly scaleAfter: number;
        /** The tensors whose gradients overflowed. */
        readonly tensors: readonly Overflow[];
      }
    | { readonly kind: "evaluated"; readonly loss: number; readonly trainedTokens: number }
    | { readonly kind: "sampled"; readonly answers: readonly Answer[] }
    | { readonly kind: "saved"; readonly folder: string; readonly what: "checkpoint" | "adapter" }
    | { readonly kind: "changed"; readonly controls: Controls }
    | { readonly kind: "paused" }
    | { readonly kind: "resumed" }
    | { readonly kind: "stopped"; readonly reason: "finished" | "asked" | "aborted" }
    | { readonly kind: "failed"; readonly message: string }
  );

export type TrainEventKind = TrainEvent["kind"];
