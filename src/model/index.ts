// Token ids become scores: config, weights on a device, and the forward of each family.

export { type LlamaConfig, parameterCount, parseConfig, type RopeScaling, readConfig } from "./config.js";
export { families } from "./families/index.js";
export { exportGguf, type GgufOptions } from "./gguf.js";
export { defaultContext, defaultDType, type LoadOptions, loadModel, sketchModel, sketchOf } from "./load.js";
export {
  type ComputeDType,
  computeDTypes,
  type ForwardInputs,
  type LinearHook,
  type LinearSite,
  Model,
  type ModelParts,
} from "./model.js";
export { dtypesOf, type Quantization, quantizations } from "./quantize.js";
export { type ResidentWeights, type TensorSpec, weightsLayout } from "./resident.js";
export {
  type TrainedOptions,
  type TrainedTensor,
  TrainedTensors,
  trainedLayout,
  type WeightUpdate,
} from "./trained.js";
export * from "./weights/index.js";
