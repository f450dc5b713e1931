// The memory of a run before there is a run: a table for people, and a picture in a notebook. Made by planning.ts.

import { categories } from "../engine/program.js";
import type { MemoryBytes } from "../train/events.js";
import type { ChoiceCounts, LayerChoice } from "../train/layers.js";
import { formatBytes, formatCount, totalBytes } from "./format.js";
import type { MimeBundle } from "./host.js";
import { findPlace, type Place } from "./hosts.js";
import { drawPlan } from "./svg-plan.js";

/** One way to make the same update. */
export interface PlanAlternative {
  /** For people: "every layer computed again". */
  readonly name: string;
  /** Rows that go through the model at once. */
  readonly microBatchSize: number;
  readonly bytes: number;
  /** Estimated time of an update, as a part of what keeping everything takes with the batch as it was asked for. */
  readonly time: number;
  readonly fits: boolean;
}

export interface PlanFacts {
  /** For people: family, parameters, dtype, what trains, on which device. */
  readonly title: string;
  /** Bytes the run may take; undefined where none were named. */
  readonly budget: number | undefined;
  /** Whether it stays within the budget; true where there is none. */
  readonly fits: boolean;
  /** What train() will allocate, by category: training, and evaluation and generation beside it. When nothing fits, the least there is. */
  readonly bytes: MemoryBytes;
  /** What each needs, with the model itself; undefined where it is not part of the run. */
  readonly parts: {
    readonly training: MemoryBytes;
    readonly evaluation: MemoryBytes | undefined;
    readonly generation: MemoryBytes | undefined;
  };
  /** Rows of an update, those that go through the model at once, and how often that is done. */
  readonly rowsPerUpdate: number;
  readonly microBatchSize: number;
  readonly passes: number;
  /** Tokens of a row, padding included. */
  readonly seq: number;
  /** What of each layer is computed again on the way back, layer by layer. */
  readonly layers: readonly LayerChoice[];
  readonly counts: ChoiceCounts;
  /** Operations of the matrix products of an update, and the part of them that is repeated. */
  readonly flops: number;
  readonly repeated: number;
  /** See PlanAlternative. */
  readonly time: number;
  readonly alternatives: readonly PlanAlternative[];
  /** What would fit, in words, when this does not. */
  readonly would: readonly string[];
}

const jupyterDisplay: unique symbol = Symbol.for("Jupyter.display");

/** The answer of `plan`. As the last expression of a cell it displays itself. */
export class MemoryPlan {
  constructor(readonly facts: PlanFacts) {}

  get fits(): boolean {
    return this.facts.fits;
  }

  get bytes(): MemoryBytes {
    return this.facts.bytes;
  }

  get totalBytes(): number {
    return totalBytes(this.facts.bytes);
  }

  /** Options that make train() run as planned. */
  get options(): { readonly memoryBudget?: number; readonly microBatchSize: number } {
    const { budget, microBatchSize } = this.facts;
    return { ...(budget === undefined ? {} : { memoryBudget: budget }), microBatchSize };
  }

  [jupyterDisplay](): MimeBundle {
    return { "image/svg+xml": drawPlan(this.facts, this.sentence()).svg, "text/plain": this.toString() };
  }

  /** One line: whether it fits, and how. */
  sentence(): string {
    const { budget, fits } = this.facts;
    const total = formatBytes(this.totalBytes);
    if (budget === undefined) return `takes ${total}`;
    const apart = formatBytes(Math.abs(budget - this.totalBytes));
    return fits
      ? `fits ${formatBytes(budget)}, with ${apart} to spare`
      : `does not fit ${formatBytes(budget)}: ${apart} too much`;
  }

  toString(): string {
    return [this.facts.title, ...this.#table(), this.sentence(), ...this.#choices(), ...this.#others()].join("\n");
  }

  show(place: Place = findPlace()): void {
    const bundle = this[jupyterDisplay]();
    if (place.kind === "host") place.host.display(bundle);
    else if (place.kind === "tslab") place.newDisplay().raw("image/svg+xml", String(bundle["image/svg+xml"]));
    else process.stdout.write(`${this.toString()}\n`);
  }

  #table(): string[] {
    const { bytes, parts } = this.facts;
    const columns = Object.entries(parts).flatMap(([name, part]) => (part ? [{ name, part }] : []));
    const row = (name: string, of: (memory: MemoryBytes) => number) =>
      `  ${name.padEnd(12)} ${formatBytes(of(bytes)).padStart(10)}  ${formatCount(of(bytes)).padStart(18)} B ` +
      columns.map(({ part }) => formatBytes(of(part)).padStart(12)).join("");
    return [
      `  ${"".padEnd(12)} ${"whole run".padStart(10)}  ${"".padStart(20)} ${columns.map(({ name }) => name.padStart(12)).join("")}`,
      ...categories.map((category) => row(category, (memory) => memory[category])),
      row("total", totalBytes),
    ];
  }

  #choices(): string[] {
    const { rowsPerUpdate, microBatchSize, passes, seq, counts, flops, repeated, time } = this.facts;
    const many = (count: number, word: string) => `${formatCount(count)} ${word}${count === 1 ? "" : "s"}`;
    const rows = `an update: ${many(rowsPerUpdate, "row")} of ${seq} tokens, ${formatCount(microBatchSize)} at once`;
    return [
      `${rows} in ${passes} pass${passes === 1 ? "" : "es"}`,
      `layers: ${counts.keep} keep all values, ${counts.mlp} compute their feed-forward again, ${counts.layer} all of it`,
      `${flops.toExponential(2)} operations an update, ${(100 * repeated).toFixed(1)} % of them repeated; time x ${time.toFixed(2)}`,
    ];
  }

  #others(): string[] {
    const { alternatives, would } = this.facts;
    const lines = alternatives.map(
      ({ name, microBatchSize, bytes, time, fits }) =>
        `  ${name.padEnd(36)} ${String(microBatchSize).padStart(5)} at once ${formatBytes(bytes).padStart(10)}   time x ${time.toFixed(2)}${fits ? "" : "   does not fit"}`,
    );
    return [
      ...(lines.length > 0 ? ["other ways to make the same update:", ...lines] : []),
      ...would.map((text) => `would fit: ${text}`),
    ];
  }
}
