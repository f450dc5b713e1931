// Weights and adapters from a formula, so that no weight need be committed. The same numbers as formula.py.

import { bitsAt, uniformAt } from "../../src/engine/random.js";

/**
 * Values of a tensor from its name: uniform in ±1.5 / sqrt(last axis) for matrices, 1 ± 0.2 for norms, ±0.2 for biases, rounded to f32.
 * Element i of a tensor draws uniformAt(seed, i) with the seed bitsAt(characters of the name).
 */
export function named(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const seed = bitsAt(...Array.from(name, (character) => character.codePointAt(0) as number));
  const scale = 1.5 / Math.sqrt(shape.at(-1) as number);
  return Float32Array.from({ length: count }, (_, i) => {
    const u = 2 * uniformAt(seed, i) - 1;
    if (name.endsWith("norm.weight")) return 1 + 0.2 * u;
    return shape.length === 1 ? 0.2 * u : scale * u;
  });
}
