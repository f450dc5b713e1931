// The angles of rotary positions: how fast each pair of a head turns per token.

import { roundTo } from "../engine/number.js";
import type { LlamaConfig } from "./config.js";
import type { ComputeDType } from "./model.js";

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

/**
 * cos or sin of the angles of one section of ChatGLM's heads, [places, width / 2] f32.
 *
 * The published model has its frequencies in f16, so they are rounded here whatever is computed in (the phase at place 2047 moves by up
 * to 0.32); where it computes in f16, the angles and their cosines are too.
 */
export function chatGlmAngles(
  width: number,
  places: number,
  dtype: ComputeDType,
  of: (angle: number) => number,
): Float32Array {
  const half = (value: number) => (dtype === "f16" ? roundTo(value, "f16") : value);
  const cols = width / 2;
  const frequencies = Float64Array.from({ length: cols }, (_, i) => roundTo(10000 ** ((-2 * i) / width), "f16"));
  return Float32Array.from({ length: places * cols }, (_, i) =>
    half(of(half(Math.floor(i / cols) * (frequencies[i % cols] as number)))),
  );
}
