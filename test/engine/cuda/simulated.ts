// A GPU simulated on the processor, for tests: the same host code and kernels as on a real one. Built by
// `node src/engine/native/cuda/build.mjs --sim`.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type CudaDevice, type CudaOptions, cudaDevice } from "../../../src/engine/cuda.js";

export const library = fileURLToPath(new URL("../../../build/tunebook-cuda-sim.node", import.meta.url));

/** Why there is none, or undefined. */
export const notBuilt = existsSync(library)
  ? undefined
  : "the simulated GPU is not built: node src/engine/native/cuda/build.mjs --sim";

/** GPU 0 gives the warps of a block their turns in order, GPU 1 in reverse; 2 is too old; 3 has 1 MiB. @throws Error when it is not built. */
export function simulatedGpu(gpu: CudaOptions["gpu"] = 0): CudaDevice {
  if (notBuilt) throw new Error(notBuilt);
  return cudaDevice({ gpu, library, name: "cuda-sim" });
}
