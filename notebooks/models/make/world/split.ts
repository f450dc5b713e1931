// Which contents of the world are held out, and seeded draws. Used by all that makes rows; next to read: world.ts.

import { bitsAt } from "../../../../src/engine/random.js";

/** Draws whole numbers 0 .. below-1. */
export type Draw = (below: number) => number;

/** Seeded draws: the n-th call gives the same number on every machine. */
export function drawFrom(...seed: number[]): Draw {
  let calls = 0;
  return (below) => Math.floor((bitsAt(...seed, calls++) / 0x100000000) * below);
}

export function pick<T>(list: readonly T[], draw: Draw): T {
  return list[draw(list.length)] as T;
}

export function hashOf(text: string): number {
  return bitsAt(...Array.from(text, (character) => character.codePointAt(0) as number));
}

/** One in ten contents is never trained on; which ones depends on the content alone, so no draw can leak one. */
export function isHeldOut(kind: string, content: string): boolean {
  return hashOf(`${kind}|${content}`) % 10 === 0;
}
