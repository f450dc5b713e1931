// Token ids become scores: config, weights on a device, and the forward of each family.

export { type LlamaConfig, parameterCount, parseConfig, readConfig, type RopeScaling } from "./config.js";
export { families } from "./families/index.js";
export { type LoadOptions, loadModel, sketchModel } from "./load.js";
export { type ComputeDType, type ForwardInputs, type LinearHook, type LinearSite, Model, type ModelParts } from "./model.js";
export { type ResidentWeights, type TensorSpec, weightsLayout } from "./resident.js";
export { TrainedTensors, type TrainedTensor, trainedLayout, type TrainedOptions } from "./trained.js";
export * from "./weights/index.js";
