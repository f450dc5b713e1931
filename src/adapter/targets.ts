// Which linear layers get an adapter. Next to read: lora.ts.

import type { LinearSite } from "../model/index.js";

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

function fits({ name }: LinearSite, target: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}
