// Random numbers from a counter: the same seed and position give the same bits on every device and in any order.

/** One round of the 32-bit finaliser of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 32 random bits for a position named by any number of 32-bit words. */
export function bitsAt(...words: number[]): number {
  let h = 0x9e3779b9;
  for (const word of words) h = mix((Math.imul(h, 0x01000193) ^ word) >>> 0);
  return h;
}

/** A number in [0, 1) with 24 bits. */
export function uniformAt(...words: number[]): number {
  return (bitsAt(...words) >>> 8) / 0x1000000;
}

/** A standard normal number, by Box and Muller 1958. */
export function normalAt(...words: number[]): number {
  const u = 1 - uniformAt(...words, 0);
  return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * uniformAt(...words, 1));
}

/** Whether dropout with probability `p` keeps an element. `element` below 2^32. */
export function keepsElement(
  p: number,
  seed: number,
  step: number,
  micro: number,
  stream: number,
  element: number,
): boolean {
  return uniformAt(seed, step, micro, stream, element) >= p;
}

/** A random order of 0 .. count - 1 (Fisher and Yates, Durstenfeld 1964), from a seed and a round, such as an epoch. */
export function permutation(count: number, seed: number, round: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(uniformAt(seed, round, i) * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}
