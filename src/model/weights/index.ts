// Checkpoints in, tensors out, and back: names, dtypes and shapes as in the file.

export { CONSOLIDATED, isConsolidated, openConsolidated } from "./consolidated.js";
export { bf16ToF32, convert, f16ToF32, f32ToBf16, f32ToF16, storedAs } from "./convert.js";
export { CheckpointError } from "./error.js";
export { describeFault, type WeightFault } from "./faults.js";
export { type StoredDType, storedBytesOf, type TensorInfo } from "./header.js";
export { openLlama2c } from "./llama2c.js";
export { openSafetensors } from "./safetensors.js";
export { openCheckpoint, openTensors } from "./shards.js";
export type { StoredTensor, TensorFile } from "./tensors.js";
export { openTorch } from "./torch.js";
export { replaceFile, writeSafetensors } from "./write.js";
