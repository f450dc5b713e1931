// The cuda device: Programs run on an NVIDIA GPU by the native library's other half. Next to read: native.ts, native/cuda/driver.h.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Addon, DeviceHandle } from "./addon.js";
import { describeGpu, describeMemory, describeMeters, type Found, type GpuState } from "./cuda-report.js";
import { cudaWorkspaceBytes } from "./cuda-workspace.js";
import { type Device, EngineError } from "./device.js";
import { NativeDevice } from "./native.js";

const build = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "build");

/** Least compute capability of the kernels, as in native/cuda/core.h. */
const LEAST_MAJOR = 8;

/** The CUDA engine is the CPU's interface with a report, and without its benches. */
interface CudaAddon extends Omit<Addon, "peak" | "exp" | "create"> {
  /** @param kernels - Folder of compiled kernels. */
  create(gpu: number, kernels: string): DeviceHandle;
  report(device: DeviceHandle | undefined): string;
}

export interface CudaOptions {
  /** Number of the GPU, as the driver counts: CUDA_VISIBLE_DEVICES chooses and orders them. @default 0 */
  readonly gpu?: number;
  /** The library and its kernels; tests give the simulated one. */
  readonly library?: string;
  readonly kernels?: string;
  /** @default "cuda:<gpu>" */
  readonly name?: string;
}

/** An open GPU, which can also tell how it is. */
export interface CudaDevice extends Device {
  state(): GpuState;
}

function load(file: string): CudaAddon {
  try {
    return createRequire(import.meta.url)(file) as CudaAddon;
  } catch (cause) {
    throw new EngineError(
      `cuda: the native engine ${file} cannot be loaded: ${(cause as Error).message.split("\n")[0]}\n` +
        `build it with: node ${join(build, "..", "src", "engine", "native", "build.mjs")}`,
      { cause },
    );
  }
}

/** The GPUs of this machine, usable or not, and why there is none. @throws EngineError when the library cannot be loaded. */
export function findGpus(library = join(build, "tunebook-cuda.node")): Found {
  return JSON.parse(load(library).report(undefined)) as Found;
}

/**
 * A device on one GPU of this machine.
 *
 * @throws EngineError with what is missing: the library, the driver, a GPU of that number, a card new enough, kernels for it.
 */
export function cudaDevice(options: CudaOptions = {}): CudaDevice {
  const gpu = options.gpu ?? 0;
  if (!Number.isInteger(gpu) || gpu < 0) {
    throw new EngineError(`cuda: expected the GPU's number to be a whole number from 0, got ${gpu}`);
  }
  const library = options.library ?? join(build, "tunebook-cuda.node");
  const addon = load(library);
  const found = JSON.parse(addon.report(undefined)) as Found;
  let handle: DeviceHandle;
  try {
    handle = addon.create(gpu, options.kernels ?? join(build, "cuda"));
  } catch (cause) {
    throw new EngineError(`cuda: ${(cause as Error).message}${hidden(found)}`, { cause });
  }
  const card = found.gpus.find(({ index }) => index === gpu);
  const state = () => JSON.parse(addon.report(handle)) as GpuState;
  const device = new NativeDevice(addon as unknown as Addon, handle, {
    name: options.name ?? `cuda:${gpu}`,
    info: {
      description: card ? describeGpu(card, found) : `GPU ${gpu}`,
      threads: card?.multiprocessors ?? 1,
      memoryBytes: card?.bytes,
      computeDTypes: ["bf16", "f16", "f32"],
      noQuantized: "its kernels read whole numbers of 16 or 32 bits",
    },
    workspaceBytes: cudaWorkspaceBytes,
    freeMemory: () => describeMemory(state()),
  });
  return Object.assign(device, { state, describeNow: () => describeMeters(state()) });
}

/** The GPUs but the first, as `tunebook devices` lists them; none of them is opened for it. */
export function otherGpus(library?: string) {
  const found = findGpus(library);
  return found.gpus.slice(1).map((gpu) => {
    const usable = gpu.major >= LEAST_MAJOR;
    const why = usable ? "" : `: compute capability ${LEAST_MAJOR}.0 or newer is needed`;
    const name = `cuda:${gpu.index}` as const;
    return { name, description: describeGpu(gpu, found) + why, usable, chosen: false };
  });
}

/** What CUDA_VISIBLE_DEVICES may have to do with it. */
function hidden(found: Found): string {
  const visible = process.env["CUDA_VISIBLE_DEVICES"];
  return visible !== undefined && found.gpus.length === 0
    ? `; CUDA_VISIBLE_DEVICES is ${JSON.stringify(visible)}, which may hide them`
    : "";
}
