// The angles of rotary positions: how fast each pair of a head turns per token.

import type { LlamaConfig } from "./config.js";

/**
 * Radians per token of pair i of a head: theta^(-2i / headDim), stretched as `ropeScaling` says.
 *
 *     result [headDim / 2] f64; the angle at position p is p * result[i]
 *
 * linear: every frequency divided by `factor`.
 * llama3: wavelengths longer than originalContext / lowFreqFactor are divided by `factor`, those shorter than
 * originalContext / highFreqFactor stay, and between them the two are blended.
 *
 * @see Su et al. 2021, RoFormer, https://arxiv.org/abs/2104.09864; Llama 3.1's model card for llama3
 */
export function ropeFrequencies(config: Pick<LlamaConfig, "headDim" | "ropeTheta" | "ropeScaling">): Float64Array {
  const { headDim, ropeTheta, ropeScaling } = config;
  const plain = Float64Array.from({ length: headDim / 2 }, (_, i) => ropeTheta ** ((-2 * i) / headDim));
  if (ropeScaling === undefined) return plain;
  if (ropeScaling.kind === "linear") return plain.map((frequency) => frequency / ropeScaling.factor);
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = ropeScaling;
  return plain.map((frequency) => {
    const turns = (originalContext * frequency) / (2 * Math.PI); // over the context of pre-training
    if (turns < lowFreqFactor) return frequency / factor;
    if (turns > highFreqFactor) return frequency;
    const kept = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return (1 - kept) * (frequency / factor) + kept * frequency;
  });
}
