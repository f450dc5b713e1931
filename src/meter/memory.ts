// How much memory is held right now: by the device, counted by its own allocator, and by this process, counted by the system.

import { type Category, categories, type Device } from "../engine/index.js";

export interface MemoryReading {
  /** Bytes the device holds, by category. */
  readonly device: Readonly<Record<Category, number>>;
  /** Their sum. */
  readonly deviceBytes: number;
  /** Bytes of physical memory of this process, and the most it ever had. */
  readonly processBytes: number;
  readonly processPeakBytes: number;
  /** Bytes of JavaScript objects, part of processBytes. */
  readonly heapBytes: number;
}

/** One reading; takes microseconds, so that every update may carry one. */
export function readMemory(device: Pick<Device, "allocated">): MemoryReading {
  const held = device.allocated();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    device: held,
    deviceBytes: categories.reduce((sum, category) => sum + held[category], 0),
    processBytes: rss,
    processPeakBytes: Math.max(rss, process.resourceUsage().maxRSS * 1024),
    heapBytes: heapUsed,
  };
}
