// A base goes in; the same model with a few tensors that train comes out, and their files. Read lora.ts, then save.ts and load.ts.

export { trainFully } from "./full.js";
export { type LoadAdapterOptions, loadAdapter } from "./load.js";
export { attachLora, type LoraOptions } from "./lora.js";
export { type MergedOptions, writeMerged } from "./merge.js";
export { AdapterError } from "./peft.js";
export { saveAdapter } from "./save.js";
export { defaultRank, type LoraTarget, loraTargets, type Targets } from "./targets.js";
