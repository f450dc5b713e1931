// Fits a run into a memory budget: which layers keep their values for the backward, and which compute them again. Used by plan.ts.

import type { Program } from "../engine/index.js";
import { flopsOf } from "../meter/index.js";

/** What of a layer is computed again on the way back: nothing, its feed-forward, or all of it. */
export type LayerChoice = "keep" | "mlp" | "layer";

export interface BudgetQuestion {
  readonly layers: number;
  /** Bytes the whole run may take. */
  readonly budget: number;
  /** The run's largest Program with these choices, by layer. */
  program(choices: readonly LayerChoice[]): Promise<Program>;
  /** Bytes of the whole run with this Program. */
  bytes(program: Program): number;
}

/** How much a run takes at least, when even that is too much. */
export interface TooSmall {
  readonly least: number;
}

/**
 * The choices that repeat the least arithmetic among those that fit. Whole layers come first, then feed-forwards: which layers they are
 * changes neither. Costs and savings are measured on three plans; every answer is checked by a plan of its own, to the byte.
 */
export async function fitBudget(question: BudgetQuestion): Promise<readonly LayerChoice[] | TooSmall> {
  const { layers, budget } = question;
  const all = (choice: LayerChoice) => new Array<LayerChoice>(layers).fill(choice);
  const measure = async (choices: readonly LayerChoice[]) => {
    const program = await question.program(choices);
    return { bytes: question.bytes(program), flops: flopsOf(program).total };
  };
  const kept = await measure(all("keep"));
  if (kept.bytes <= budget) return all("keep");
  const mlp = await measure(all("mlp"));
  const whole = await measure(all("layer"));
  const fewest = Math.min(mlp.bytes, whole.bytes);
  if (fewest > budget) return { least: fewest };
  const perLayer = (of: typeof kept) => ({
    saved: (kept.bytes - of.bytes) / layers,
    repeated: (of.flops - kept.flops) / layers,
  });
  const [oneMlp, oneWhole] = [perLayer(mlp), perLayer(whole)];
  const candidates: { readonly choices: readonly LayerChoice[]; readonly repeated: number }[] = [];
  for (let wholes = 0; wholes <= layers; wholes++) {
    for (let mlps = 0; wholes + mlps <= layers; mlps++) {
      const estimate = kept.bytes - wholes * oneWhole.saved - mlps * oneMlp.saved;
      if (estimate > budget * (1 + ESTIMATE_SLACK)) continue;
      const choices = all("keep").map((_, at) => (at < wholes ? "layer" : at < wholes + mlps ? "mlp" : "keep"));
      candidates.push({ choices, repeated: wholes * oneWhole.repeated + mlps * oneMlp.repeated });
      break; // more feed-forwards of the same whole layers only cost more; the next plan that is needed is tried below
    }
  }
  for (const { choices } of candidates.sort((a, b) => a.repeated - b.repeated)) {
    for (const more of grow(choices)) if ((await measure(more)).bytes <= budget) return more;
  }
  return whole.bytes <= budget ? all("layer") : all("mlp");
}

/** Savings are not quite linear: plans that seem to miss the budget by this part of it are tried too. */
const ESTIMATE_SLACK = 0.02;

/** These choices, and the next two with one more feed-forward computed again each. */
function* grow(choices: readonly LayerChoice[]): Generator<readonly LayerChoice[]> {
  const next = [...choices];
  yield choices;
  for (let i = 0; i < 2; i++) {
    const at = next.indexOf("keep");
    if (at < 0) return;
    next[at] = "mlp";
    yield [...next];
  }
}
