// Comparisons as a Markdown table, which is also what the terminal shows.

import { categories } from "../../src/engine/index.js";
import type { Comparison } from "./compare.js";
import type { Machine } from "./machine.js";
import { type Job, jobName } from "./shapes.js";
import type { Spread } from "./statistics.js";

/** Tokens of one measured step. */
export function tokensOf({ work, model, newTokens }: Job): number {
  return work === "train" ? model.batch * model.seq : newTokens - 1;
}

const number = (value: number, digits = 0): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const mebi = (bytes: number): string => number(bytes / 2 ** 20);
const percent = (part: number): string => `${number(part * 100)} %`;
const ranged = ({ median, least, most }: Spread, digits: number): string =>
  `${number(median, digits)} (${number(least, digits)}-${number(most, digits)})`;

/** Seconds of a step as tokens per second; the quickest step is the highest rate. */
function rate(tokens: number, { median, least, most }: Spread): Spread {
  return { median: tokens / median, least: tokens / most, most: tokens / least };
}

/** Part of the machine's limit that our median step uses: arithmetic when training, reading memory when decoding. */
export function limitPart({ job, ours }: Comparison, { readBandwidth }: Pick<Machine, "readBandwidth">): number {
  const { flops, bytesRead, peakFlops } = ours.report;
  return job.work === "train"
    ? flops / ours.seconds.median / peakFlops
    : (bytesRead * tokensOf(job)) / ours.seconds.median / readBandwidth;
}

function sum(bytes: Readonly<Record<(typeof categories)[number], number>>): number {
  return categories.reduce((total, category) => total + bytes[category], 0);
}

const head = [
  "job",
  "ours, tokens/s",
  "PyTorch + PEFT, tokens/s",
  "times as fast",
  "of the limit",
  "ours, peak MiB",
  "peer, peak MiB",
  "memory",
  "planned = allocated",
];

export function comparisonTable(comparisons: readonly Comparison[], machine: Pick<Machine, "readBandwidth">): string {
  const rows = comparisons.map((comparison) => {
    const { job, ours, peer, ratio } = comparison;
    const tokens = tokensOf(job);
    const planned = categories.every((name) => ours.report.planned[name] === ours.report.allocated[name]);
    const over = ({ peakBytes, startBytes }: Comparison["peer"]["report"]) =>
      `${mebi(peakBytes)} (${mebi(peakBytes - startBytes)})`;
    return [
      jobName(job),
      ranged(rate(tokens, ours.seconds), 0),
      ranged(rate(tokens, peer.seconds), 0),
      ranged(ratio, 2),
      `${percent(limitPart(comparison, machine))} of ${job.work === "train" ? "multiply-adds" : "reading"}`,
      over(ours.report),
      over(peer.report),
      `${number(ours.report.peakBytes / peer.report.peakBytes, 2)}x`,
      `${planned ? "yes" : "NO"}, ${mebi(sum(ours.report.allocated))} MiB`,
    ];
  });
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Machine, versions and table: what is written down of a run. */
export function section(date: string, settings: string, machine: Machine, comparisons: readonly Comparison[]): string {
  const [first] = comparisons;
  if (!first) throw new RangeError("section: there are no comparisons");
  const versions = [first.ours.built.versions, first.peer.built.versions].flatMap((side) =>
    Object.entries(side).map(([name, version]) => `${name} ${version}`),
  );
  const peaks = (["f32", "bf16"] as const).flatMap((dtype) => {
    const seen = comparisons.filter(({ job }) => job.dtype === dtype).map(({ ours }) => ours.report.peakFlops);
    return seen.length === 0 ? [] : [`${dtype} ${number(Math.max(...seen) / 1e9)} GFLOP/s`];
  });
  return [
    `## ${date}`,
    "",
    `${machine.description} (${machine.extensions.join(" ")}), ${first.job.threads} threads; ${versions.join(", ")}. ${settings}.`,
    `Multiply-adds in registers: ${peaks.join(", ")}. Reading memory: ${number(machine.readBandwidth / 1e9, 1)} GB/s.`,
    "",
    comparisonTable(comparisons, machine),
    "",
  ].join("\n");
}
