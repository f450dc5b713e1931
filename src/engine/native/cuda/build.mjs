// The CUDA engine: build/tunebook-cuda.node from g++ alone, and, where nvcc is found, the kernels in build/cuda.
//
//     node src/engine/native/cuda/build.mjs           the engine, and its kernels where nvcc is found
//     node src/engine/native/cuda/build.mjs --sim     build/tunebook-cuda-sim.node, the same with a simulated GPU, for tests
//     node src/engine/native/cuda/build.mjs --check   kernels for all architectures; fails where one spills registers
//
// nvcc is the environment's TUNEBOOK_NVCC, or in CUDA_HOME, on the PATH, or in /usr/local/cuda.

import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { commonFlags, filesUnder, Missing, makeProduct, native, nodeFlags, root } from "../compile.mjs";
import { checkKernels, findNvcc, makeKernels } from "./kernels.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const sim = join(here, "sim");

/** What the CUDA engine shares with the CPU's. */
const shared = ["addon.cpp", "decode.cpp", "signature.cpp", "validate.cpp"].map((name) => join(native, name));

/** @returns objects of the engine, { source, object, flags } each; of the simulated one, kernels among them. */
function objectsToMake(simulated) {
  const objects = join(root, "build", "native", "cuda");
  const own = filesUnder(here, ".cpp").filter((file) => simulated || !file.startsWith(sim));
  const sources = [...shared, ...own].filter((file) => !simulated || basename(file) !== "libcuda.cpp");
  const one = (source, flags) => ({
    source,
    object: join(objects, `${relative(native, source).replaceAll("/", "-")}.o`),
    flags: [...commonFlags, ...nodeFlags(), "-DTB_CUDA", ...flags],
  });
  const host = sources.map((source) => one(source, []));
  // Fast enough and quickly compiled: nobody waits for a simulated GPU but tests.
  const kernels = simulated ? filesUnder(join(here, "kernels"), ".cu") : [];
  return [...host, ...kernels.map((source) => one(source, ["-O2", "-Wno-unknown-pragmas", "-x", "c++"]))];
}

function headers() {
  return [...filesUnder(native, ".h"), ...filesUnder(here, ".h")];
}

/** The engine, and its kernels where they can be compiled. Only Linux has NVIDIA's driver. */
export async function buildCuda() {
  if (process.platform !== "linux") return;
  await makeProduct(join(root, "build", "tunebook-cuda.node"), objectsToMake(false), headers());
  const nvcc = findNvcc();
  if (nvcc) await makeKernels(nvcc);
}

async function main([asked]) {
  if (asked === "--sim") {
    await makeProduct(join(root, "build", "tunebook-cuda-sim.node"), objectsToMake(true), headers());
  } else if (asked === "--check") {
    const nvcc = findNvcc();
    if (!nvcc)
      throw new Missing(
        "no nvcc: TUNEBOOK_NVCC names none, and none is in CUDA_HOME, on the PATH or in /usr/local/cuda",
      );
    await checkKernels(nvcc);
  } else {
    await buildCuda();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Missing ? `CUDA engine: ${error.message}` : error.message);
    process.exitCode = 1;
  }
}
