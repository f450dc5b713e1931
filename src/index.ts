// Table of contents: every public name, in the order of the story. Read on in src/README.md.

// 1. Where examples come from.

export {
  DatasetError,
  type ReadOptions,
  type Row,
  readRows,
  rows,
  type SplitOptions,
  splitRows,
} from "./data/index.js";

// 2. Text becomes integers.

export {
  applyTemplate,
  type Batch,
  type BatchOptions,
  batches,
  type ChatMessage,
  type ChatOptions,
  type ChatTemplate,
  type Encoded,
  encodeRows,
  loadChatTemplate,
  loadTokenizer,
  renderPrompt,
  type Template,
  type TemplateOptions,
  type Tokenizer,
  TokenizerError,
  templates,
} from "./tokens/index.js";

// 3. Integers become scores.

export {
  type ChatGlmConfig,
  CheckpointError,
  type ComputeDType,
  type LlamaConfig,
  type LoadOptions,
  loadModel,
  Model,
  type ModelConfig,
  parameterCount,
  readConfig,
  type T5Config,
} from "./model/index.js";

// 4. Scores become a loss, a loss becomes a step.

export { type PlanQuestion, plan } from "./planning.js";
export {
  type Controls,
  type Finding,
  type MemoryBytes,
  Run,
  readEvents,
  type TrainEvent,
  type TrainOptions,
  type TrainResult,
  trainOptions,
} from "./train/index.js";
export { train } from "./training.js";

// 5. The same step, a thousandth of the parameters.

export {
  AdapterError,
  attachLora,
  type LoadAdapterOptions,
  type LoraOptions,
  type LoraTarget,
  loadAdapter,
  loraTargets,
  saveAdapter,
  type Targets,
  trainFully,
} from "./adapter/index.js";
export { type MergeOptions, type MergeReport, mergeAdapter } from "./merging.js";
export { exportGguf, type GgufOptions } from "./model/index.js";

// 6. The model speaks.

export type { AnswerOptions, CompareOptions, GeneratedToken, GenerateOptions, Task } from "./generate/index.js";
export { answer, compare, generate, generateText } from "./generation.js";
export type { Answer } from "./train/index.js";

// 7. Is it better.

export * from "./evaluate/index.js";

// 8. What the notebook shows. The rest of the widgets is in "tunebook/widgets".

export { type ShowOptions, show } from "./widgets/index.js";

// The machine: which devices there are and what they hold.

export { type DeviceName, type DeviceReport, listDevices, openDevice } from "./engine/devices.js";
export { type Device, EngineError } from "./engine/index.js";
export { type MemoryReading, readMemory } from "./meter/index.js";
