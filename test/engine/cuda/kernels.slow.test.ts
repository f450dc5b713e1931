// The kernels' compilation by nvcc, where there is one: every kernel for every architecture, without spilled registers. And the reading of
// the assembler's report, anywhere.

import { describe, expect, test } from "vitest";
import { checkKernels, findNvcc, readReport } from "../../../src/engine/native/cuda/kernels.mjs";

const nvcc = findNvcc();

describe.skipIf(!nvcc)(
  `nvcc${nvcc ? ` ${nvcc.version}` : " (skipped: TUNEBOOK_NVCC names none, and none is found)"}`,
  () => {
    test("compiles all kernels for sm_80, sm_89 and sm_90, and none spills", { timeout: 900_000 }, async () => {
      await expect(checkKernels(nvcc)).resolves.toBeUndefined();
    });
  },
);

test("registers and local memory are read from the assembler's report, kernel by kernel", () => {
  const report = [
    "ptxas info    : Compiling entry function 'attention_bf16_64' for 'sm_90'",
    "ptxas info    : Function properties for attention_bf16_64",
    "    128 bytes stack frame, 124 bytes spill stores, 124 bytes spill loads",
    "ptxas info    : Used 255 registers, used 1 barriers, 128 bytes cumulative stack size",
    "ptxas info    : Compiling entry function 'adamw' for 'sm_90'",
    "ptxas info    : Function properties for adamw",
    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads",
    "ptxas info    : Used 42 registers, used 1 barriers, 16 bytes smem",
    "ptxas info    : Function properties for __internal_accurate_pow",
    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads",
  ].join("\n");
  expect(readReport(report)).toEqual([
    { name: "attention_bf16_64", registers: 255, localBytes: 128 },
    { name: "adamw", registers: 42, localBytes: 0 },
  ]);
});
