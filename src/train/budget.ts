// Which layers keep their values for the backward and which compute them again: the mixtures worth trying, from measured savings.
// Pure arithmetic on counts; every answer is checked by a plan of its own in fit.ts, which is next to read.

import type { LayerChoice } from "./layers.js";

/** What computing one more layer again changes. */
export interface Saving {
  /** Bytes of activations that need not be kept; below zero where it takes more. */
  readonly bytes: number;
  /** Operations that are repeated. */
  readonly flops: number;
}

/** Layers that are alike. */
export interface LayerKind {
  /** Their positions in the model, in the order of the forward. */
  readonly layers: readonly number[];
  readonly mlp: Saving | undefined;
  readonly layer: Saving;
}

/** How many layers of each kind are computed again, and what that saves and repeats in all. */
export interface Mixture extends Saving {
  readonly counts: readonly { readonly mlp: number; readonly layer: number }[];
}

const none: Mixture = { counts: [], bytes: 0, flops: 0 };

/**
 * The mixtures no other beats: each next one repeats more arithmetic and saves more bytes. Of layers that are alike only the number counts,
 * so n of them have (n + 1) (n + 2) / 2 mixtures; kinds are put together one after another, and what is beaten is left out at once.
 */
export function mixtures(kinds: readonly LayerKind[]): readonly Mixture[] {
  let best: readonly Mixture[] = [none];
  for (const kind of kinds) {
    const own = unbeaten(mixturesOf(kind));
    best = unbeaten(
      best.flatMap((before) =>
        own.map((more) => ({
          counts: [...before.counts, ...more.counts],
          bytes: before.bytes + more.bytes,
          flops: before.flops + more.flops,
        })),
      ),
    );
  }
  return best;
}

function mixturesOf({ layers, mlp, layer }: LayerKind): Mixture[] {
  const found: Mixture[] = [];
  for (let wholes = 0; wholes <= layers.length; wholes++) {
    for (let mlps = 0; mlps <= (mlp ? layers.length - wholes : 0); mlps++) {
      found.push({
        counts: [{ mlp: mlps, layer: wholes }],
        bytes: wholes * layer.bytes + mlps * (mlp?.bytes ?? 0),
        flops: wholes * layer.flops + mlps * (mlp?.flops ?? 0),
      });
    }
  }
  return found;
}

function unbeaten(all: readonly Mixture[]): readonly Mixture[] {
  const kept: Mixture[] = [];
  for (const mixture of [...all].sort((a, b) => a.flops - b.flops || b.bytes - a.bytes)) {
    if (mixture.bytes > (kept.at(-1)?.bytes ?? Number.NEGATIVE_INFINITY)) kept.push(mixture);
  }
  return kept;
}

/**
 * A mixture spelt out, layer by layer. Whole layers come first, then feed-forwards: while the early layers are computed again, the values
 * of the late ones are no longer needed.
 */
export function choicesOf(kinds: readonly LayerKind[], { counts }: Mixture, layers: number): readonly LayerChoice[] {
  const choices = new Array<LayerChoice>(layers).fill("keep");
  for (const [i, kind] of kinds.entries()) {
    const { mlp, layer } = counts[i] ?? { mlp: 0, layer: 0 };
    for (const [at, position] of kind.layers.entries()) {
      choices[position] = at < layer ? "layer" : at < layer + mlp ? "mlp" : "keep";
    }
  }
  return choices;
}

/** Plans made before the search is content with what it has. */
const TRIES = 8;

/**
 * The first mixture that truly fits, in the order of repeated arithmetic. Estimates lead the way and are corrected by each plan made; at
 * least the last mixture is planned before the answer is that none fits.
 *
 * @param estimate - Bytes, falling from one mixture to the next.
 * @param bytes - The same, exactly: makes a plan.
 * @returns The mixture's place in the list, or undefined.
 */
export async function firstThatFits(
  count: number,
  limit: number,
  estimate: (at: number) => number,
  bytes: (at: number) => Promise<number>,
): Promise<number | undefined> {
  let [wrong, right] = [-1, count]; // the last known not to fit, the first known to
  let correction = 1;
  for (let tries = 0; tries < TRIES && right - wrong > 1; tries++) {
    let at = wrong + 1;
    while (at < right - 1 && estimate(at) * correction > limit) at += 1;
    // The estimate says that nothing before `right` fits: believe it, unless nothing is known to fit yet.
    if (right < count && estimate(at) * correction > limit) break;
    const exact = await bytes(at);
    correction = exact / Math.max(1, estimate(at));
    if (exact <= limit) right = at;
    else wrong = at;
  }
  if (right < count) return right;
  return wrong < count - 1 && (await bytes(count - 1)) <= limit ? count - 1 : undefined;
}
