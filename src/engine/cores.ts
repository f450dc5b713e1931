// How many threads can compute at full speed here.

import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/**
 * Physical cores this process may use: two threads of one core share its arithmetic, so a second one only gets in the way.
 * Where the system does not say which processors share a core, every processor counts.
 *
 * @param folder - Only tests give one. @default "/sys/devices/system/cpu"
 */
export function physicalCores(folder = "/sys/devices/system/cpu", processors = availableParallelism()): number {
  const cores = new Set<string>();
  try {
    for (const name of readdirSync(folder)) {
      if (!/^cpu\d+$/.test(name)) continue;
      cores.add(readFileSync(join(folder, name, "topology", "thread_siblings_list"), "utf8").trim());
    }
  } catch (error) {
    if (!["ENOENT", "EACCES", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return processors;
  }
  return cores.size === 0 ? processors : Math.max(1, Math.min(cores.size, processors));
}
