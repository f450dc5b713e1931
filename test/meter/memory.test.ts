import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readMemory } from "../../src/meter/index.js";
import { memory } from "../widgets/scripted-run.js";

test("a reading sums what the device holds and agrees with the system about the process", () => {
  const reading = readMemory({ allocated: () => memory });
  expect(reading.device).toEqual(memory);
  expect(reading.deviceBytes).toBe(20_400_000);
  expect(reading.heapBytes).toBeLessThan(reading.processBytes);
  expect(reading.processPeakBytes).toBeGreaterThanOrEqual(reading.processBytes);
});

test.skipIf(process.platform !== "linux")("the process's bytes are the kernel's own count", () => {
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)![1]) * 1024;
  const reading = readMemory({ allocated: () => memory });
  expect(Math.abs(reading.processBytes / field("VmRSS") - 1)).toBeLessThan(0.05);
  expect(Math.abs(reading.processPeakBytes / field("VmHWM") - 1)).toBeLessThan(0.05);
});
