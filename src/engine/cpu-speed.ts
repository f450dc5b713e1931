// How much slower the cpu device multiplies a few rows than many. Asked by the planner, which may cut a batch into smaller ones.

/**
 * Forward and backward of two layers (hidden 384 and 768, f32 and bf16, two threads of an AMD EPYC, Zen 4, busy with other work), best of nine turns, as a
 * part of the best of all token counts; the mean of the three:
 *
 *     tokens  8     16    32    64    128   256   512
 *     part    0.35  0.58  0.85  0.90  0.95  0.98  1
 *
 * Twelve rows are multiplied at a time, and each pass reads all weights once: from 64 rows on little is lost. Above 512 nothing changed
 * beyond the noise.
 */
const measured: readonly (readonly [tokens: number, part: number])[] = [
  [0, 0],
  [8, 0.35],
  [16, 0.58],
  [32, 0.85],
  [64, 0.9],
  [128, 0.95],
  [256, 0.98],
  [512, 1],
];

/** Speed over so many tokens at once as a part of the speed over very many; straight lines between what was measured. */
export function cpuSpeedAt(tokens: number): number {
  for (const [i, [upper, high]] of measured.entries()) {
    if (tokens > upper) continue;
    const [lower, low] = measured[Math.max(0, i - 1)] as readonly [number, number];
    return upper === lower ? high : low + ((tokens - lower) / (upper - lower)) * (high - low);
  }
  return 1;
}
