// The sentences about a GPU's memory and meters, and about why there is none.

import { describe, expect, test } from "vitest";
import { describeGpu, describeMemory, describeMeters, type Meters } from "../../../src/engine/cuda-report.js";

const meters: Meters = {
  usedBytes: 3 * 2 ** 30,
  totalBytes: 80 * 2 ** 30,
  utilisation: 0.4,
  watts: 310.4,
  celsius: 55,
  processes: [
    { pid: 7, bytes: 2 ** 31, name: "python" },
    { pid: 8, bytes: null, name: "" },
  ],
};
const state = { freeBytes: 10, totalBytes: 20 };

describe("memory", () => {
  test("who else holds it is said, with how much", () => {
    expect(describeMemory({ ...state, meters }, 1)).toBe(
      "10 of 20 are free on the GPU; memory is held by python (pid 7): 2.0 GiB, a process (pid 8): unknown",
    );
  });

  test("this process is nobody else", () => {
    const own = { ...meters, processes: [{ pid: 1, bytes: 1, name: "node" }] };
    expect(describeMemory({ ...state, meters: own }, 1)).toBe(
      "10 of 20 are free on the GPU; NVML shows no other process on it",
    );
  });

  test("what cannot be known is said so", () => {
    const expected = "10 of 20 are free on the GPU; which processes hold memory is not available (no NVML)";
    expect(describeMemory({ ...state, meters: null }, 1)).toBe(expected);
    expect(describeMemory({ ...state, meters: { ...meters, processes: null } }, 1)).toBe(expected);
  });
});

describe("meters", () => {
  test("each has its unit", () => {
    expect(describeMeters({ ...state, meters })).toBe("used 3.0 GiB of 80.0 GiB, 40 % busy, 310 W, 55 °C");
  });

  test("each that is missing is named", () => {
    const none = { usedBytes: null, totalBytes: null, utilisation: null, watts: null, celsius: null, processes: null };
    expect(describeMeters({ ...state, meters: none })).toBe(
      "memory in use not available, utilisation not available, power not available, temperature not available",
    );
    expect(describeMeters({ ...state, meters: null })).toBe(
      "memory in use, utilisation, power and temperature: not available (no NVML)",
    );
  });
});

test("a GPU is described by its name, capability, size and driver", () => {
  const gpu = { index: 0, name: "NVIDIA H200", major: 9, minor: 0, bytes: 150_754_820_096, multiprocessors: 132 };
  expect(describeGpu(gpu, { gpus: [gpu], cuda: "13.0", release: "580.12" })).toBe(
    "NVIDIA H200, compute capability 9.0, 132 multiprocessors, 140.4 GiB, driver 580.12 (CUDA 13.0)",
  );
  expect(describeGpu(gpu, { gpus: [gpu], cuda: "13.0" })).toContain("driver of unknown version (CUDA 13.0)");
});
