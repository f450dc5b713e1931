// Every op in plain TypeScript with f64 sums: never optimised, judged by hand-worked examples, the judge of all other devices.

import type { Kernels } from "../operands.js";
import { geglu, gegluBackward, gelu, geluBackward, relu, reluBackward } from "./activation.js";
import { attention, attentionBackward } from "./attention.js";
import { attentionBiased, attentionBiasedBackward } from "./attention-biased.js";
import { add, cast, dropout, scaledAdd, swiglu, swigluBackward, zero } from "./elementwise.js";
import { joinHeads, ropeSections, splitHeads } from "./heads.js";
import { layerNorm, layerNormInput, layerNormWeight } from "./layer-norm.js";
import { linear, linearBias, linearInput, linearWeight } from "./linear.js";
import { headLoss } from "./loss.js";
import { rmsNorm, rmsNormInput, rmsNormWeight } from "./norm.js";
import { adamw, sumSquares } from "./optimizer.js";
import { rope } from "./rope.js";
import { embedding, embeddingWeight, gatherRows, writeRows } from "./rows.js";
import type { Context, Values } from "./values.js";

export const kernels: Kernels<Values, Context> = {
  embedding,
  embeddingWeight,
  rmsNorm,
  rmsNormInput,
  rmsNormWeight,
  linear,
  linearInput,
  linearWeight,
  linearBias,
  rope,
  attention,
  attentionBackward,
  swiglu,
  swigluBackward,
  add,
  cast,
  gatherRows,
  writeRows,
  headLoss,
  zero,
  sumSquares,
  adamw,
  dropout,
  layerNorm,
  layerNormInput,
  layerNormWeight,
  gelu,
  geluBackward,
  geglu,
  gegluBackward,
  relu,
  reluBackward,
  scaledAdd,
  splitHeads,
  joinHeads,
  ropeSections,
  attentionBiased,
  attentionBiasedBackward,
};
