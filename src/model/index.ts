// Token ids become scores: config, weights on a device, and the forward of each family.

export {
  type ChatGlmConfig,
  type LlamaConfig,
  type ModelConfig,
  parseConfig,
  type RopeScaling,
  readConfig,
  type T5Config,
} from "./config.js";
export { familyOf, parameterCount } from "./families/index.js";
export { exportGguf, type GgufMatrixType, type GgufOptions, ggufMatrixTypes } from "./gguf.js";
export { type ForwardInputs, type InputSizes, rowInputs, type SourceInputs, sourceInputs } from "./inputs.js";
export { defaultContext, defaultDType, type LoadOptions, loadModel, placeOf, sketchModel, sketchOf } from "./load.js";
export {
  type ComputeDType,
  computeDTypes,
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
