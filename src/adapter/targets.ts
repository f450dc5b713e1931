// Which linear layers get an adapter. Next to read: lora.ts.

import type { LinearSite, Model } from "../model/index.js";

/** Inner size of an adapter where none is said. */
export const defaultRank = 8;

/** "all-linear" is every projection of the layers, not the head; else names as in PEFT: "q_proj" wherever it occurs, or a full name. */
export type Targets = "all-linear" | readonly string[];

/**
 * Linear layers that the targets name, in the order of `sites`.
 *
 * @throws RangeError when there are none, or one of the names fits no layer, with the names that would.
 */
export function chooseTargets(sites: readonly LinearSite[], targets: Targets): readonly LinearSite[] {
  if (targets === "all-linear") return sites;
  const kinds = [...new Set(sites.map(({ name }) => lastPart(name)))];
  if (targets.length === 0) {
    throw new RangeError(
      `attachLora: expected \`targets\` to be "all-linear" or some of ${kinds.join(", ")}, got an empty list`,
    );
  }
  for (const target of targets) {
    if (sites.some((site) => fits(site, target))) continue;
    throw new RangeError(
      `attachLora: expected \`targets\` to be "all-linear" or some of ${kinds.join(", ")}, got "${target}", which fits no linear layer`,
    );
  }
  return sites.filter((site) => targets.some((target) => fits(site, target)));
}

/** Names that PEFT would take to choose exactly these sites of all: short ones where they say the same, else full ones. */
export function targetNames(all: readonly LinearSite[], chosen: readonly LinearSite[]): readonly string[] {
  const names = new Set(chosen.map(({ name }) => name));
  const kinds = [...new Set(chosen.map(({ name }) => lastPart(name)))].sort();
  const same = all.filter(({ name }) => kinds.includes(lastPart(name))).every(({ name }) => names.has(name));
  return same ? kinds : [...names];
}

/** Linear layers of one kind, one in each block. */
export interface LoraTarget {
  /** The short name, which `targets` of attachLora takes. */
  readonly target: string;
  /** The full name, with * for numbers. */
  readonly name: string;
  readonly layers: number;
  /** Of the matrix of each, [outputs, inputs]. */
  readonly outputs: number;
  readonly inputs: number;
  /** Numbers in all these matrices. */
  readonly parameters: number;
  /** Numbers that LoRA trains on all of them: rank * (inputs + outputs) each. */
  readonly trained: number;
}

/**
 * Which layers of a model can carry LoRA, and what that trains: a row for each kind, in order of use. `table` of widgets/ shows it.
 *
 * @throws RangeError when one of the targets fits no layer, or the rank is no integer from 1.
 */
export function loraTargets(
  { linears }: Pick<Model, "linears">,
  {
    rank = defaultRank,
    targets = "all-linear",
  }: { readonly rank?: number | undefined; readonly targets?: Targets | undefined } = {},
): readonly LoraTarget[] {
  if (!Number.isInteger(rank) || rank < 1)
    throw new RangeError(`loraTargets: expected \`rank\` to be an integer from 1, got ${rank}`);
  const kinds = new Map<string, LinearSite[]>();
  for (const site of chooseTargets(linears, targets)) {
    const kind = site.name.replaceAll(/\.\d+(?=\.)/g, ".*");
    kinds.set(kind, [...(kinds.get(kind) ?? []), site]);
  }
  return [...kinds].map(([name, sites]) => {
    const { inputs, outputs } = sites[0] as LinearSite;
    const [layers, parameters, trained] = [
      sites.length,
      sites.length * outputs * inputs,
      sites.length * rank * (outputs + inputs),
    ];
    return { target: lastPart(name), name, layers, outputs, inputs, parameters, trained };
  });
}

function fits({ name }: LinearSite, target: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}
