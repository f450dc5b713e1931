// The fused layers of PEFT up to 0.2 (`enable_lora`, MergedLinear) as ordinary adapters of a larger rank. Used by load.ts.

/**
 * A fused layer of P equal parts, E of which have an update of rank r of their own, is an adapter of rank E r whose B is zero but for blocks:
 *
 *     A [E r, in]  as it is        B [E out/P, r, 1], a grouped convolution  ->  [out, E r]
 *
 * Block e holds the rows of the e-th enabled part and columns e r to (e + 1) r. The scale stays alpha / r = (E alpha) / (E r).
 *
 * @param parts - For each part of the outputs, in order, whether it has an update.
 * @see https://github.com/huggingface/peft/blob/v0.2.0/src/peft/tuners/lora.py, MergedLinear
 */
export function unfuseB(b: Float32Array, parts: readonly boolean[], outputs: number, rank: number): Float32Array {
  const rows = outputs / parts.length;
  const enabled = parts.flatMap((on, part) => (on ? [part] : []));
  const width = enabled.length * rank;
  const whole = new Float32Array(outputs * width);
  for (const [block, part] of enabled.entries()) {
    for (let row = 0; row < rows; row++) {
      const from = (block * rows + row) * rank;
      whole.set(b.subarray(from, from + rank), (part * rows + row) * width + block * rank);
    }
  }
  return whole;
}
